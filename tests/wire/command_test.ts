import { assertEquals, assertThrows } from "@std/assert";
import { StreamFormatError } from "../../src/errors.ts";
import type { ByteReader } from "../../src/wire/byte_reader.ts";
import {
  Command,
  describeCommand,
  readCommand,
  writeCommand,
  writePing,
} from "../../src/wire/command.ts";
import { assertReads, assertRefuses, fromHex, written } from "./vectors.ts";

/** Commands as QEMU sends them: name, payload, bytes. */
const VECTORS: readonly (readonly [keyof typeof Command, string, string])[] = [
  ["OPEN_RETURN_PATH", "", "08 0001 0000"],
  ["PING", "00000001", "08 0002 0004 00000001"],
  ["POSTCOPY_ADVISE", "", "08 0003 0000"],
  [
    "POSTCOPY_ADVISE",
    "00000000000010000000000000001000",
    "08 0003 0010 0000000000001000 0000000000001000",
  ],
  ["POSTCOPY_LISTEN", "", "08 0004 0000"],
  ["POSTCOPY_RUN", "", "08 0005 0000"],
  [
    "POSTCOPY_RAM_DISCARD",
    "00 06 70632e72616d 00 0000000000001000 0000000003f00000",
    "08 0006 0019 00 06 70632e72616d 00 0000000000001000 0000000003f00000",
  ],
  ["PACKAGED", "0000346b", "08 0007 0004 0000346b"],
  ["ENABLE_COLO", "", "08 0008 0000"],
  ["POSTCOPY_RESUME", "", "08 0009 0000"],
  ["RECV_BITMAP", "0670632e72616d", "08 000a 0007 06 70632e72616d"],
  ["SWITCHOVER_START", "", "08 000b 0000"],
];

/** As the loop over elements does it: the type byte is read before. */
async function read(reader: ByteReader): Promise<unknown> {
  await reader.u8("the type");
  const { command, length, payload } = await readCommand(reader);
  return { command, length, payload: (await payload.bytes(length, length, "payload")).toHex() };
}

for (const [name, payload, hex] of VECTORS) {
  Deno.test(`${name} with ${fromHex(payload).length} bytes is what QEMU sends, both ways`, async () => {
    const command = Command[name];
    const bytes = fromHex(payload);
    assertEquals(written((writer) => writeCommand(writer, command, bytes)), fromHex(hex).toHex());
    await assertReads(hex, read, { command, length: bytes.length, payload: bytes.toHex() });
    assertEquals(describeCommand(command), name);
  });
}

Deno.test("writePing() writes PING", () => {
  assertEquals(written((writer) => writePing(writer, 0x46)), "080002000400000046");
});

Deno.test("readCommand() refuses numbers that are none", async () => {
  for (const number of ["0000", "000c", "0010", "ffff"]) {
    await assertRefuses(
      `08 ${number} 0000`,
      read,
      StreamFormatError,
      `Unknown command ${parseInt(number, 16)}`,
    );
  }
  assertEquals(describeCommand(99), "command 99");
});

Deno.test("readCommand() refuses lengths that are not the command's", async () => {
  const wrong: readonly (readonly [number, readonly number[]])[] = [
    [Command.OPEN_RETURN_PATH, [1, 4, 0xffff]],
    [Command.PING, [0, 3, 5, 8]],
    [Command.POSTCOPY_LISTEN, [1]],
    [Command.POSTCOPY_RUN, [1]],
    [Command.PACKAGED, [0, 3, 8]],
    [Command.ENABLE_COLO, [1]],
    [Command.POSTCOPY_RESUME, [1]],
    [Command.SWITCHOVER_START, [1]],
  ];
  for (const [command, lengths] of wrong) {
    for (const length of lengths) {
      const hex = written((writer) => writer.u8(8).be16(command).be16(length).zeros(length));
      await assertRefuses(hex, read, StreamFormatError, `with ${length} bytes, not`);
    }
  }
});

Deno.test("readCommand() gives a reader that counts offsets of the whole stream", async () => {
  const hex = "ffffff 08 0002 0004 00000001";
  await assertReads(hex, async (reader) => {
    await reader.skip(4, "three bytes and the type");
    return (await readCommand(reader)).payload.position;
  }, 8);
});

Deno.test("writeCommand() refuses a payload that its length cannot say", () => {
  assertThrows(
    () => written((writer) => writeCommand(writer, Command.RECV_BITMAP, new Uint8Array(65536))),
    RangeError,
  );
});

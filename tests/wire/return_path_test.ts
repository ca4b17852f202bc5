import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { MemorySource } from "../../src/wire/byte_source.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import {
  encodeReturnPathMessage,
  putPlainRequest,
  readReturnPathMessage,
  type ReturnPathMessage,
  takePlainRequest,
} from "../../src/wire/return_path.ts";
import { assertRefuses, fromHex, text, written } from "./vectors.ts";
import { byteByByte, everySplit } from "../support/split_feed.ts";

/** Messages as QEMU sends them. */
const VECTORS: readonly (readonly [ReturnPathMessage, string])[] = [
  [{ type: "SHUT", status: 0 }, "0001 0004 00000000"],
  [{ type: "SHUT", status: 0xffffffea }, "0001 0004 ffffffea"],
  [{ type: "PONG", value: 1 }, "0002 0004 00000001"],
  [
    { type: "REQ_PAGES", block: "pc.ram", start: 0x1099000, length: 0x1000 },
    `0003 0013 0000000001099000 00001000 06 ${text("pc.ram")}`,
  ],
  [
    { type: "REQ_PAGES", block: undefined, start: 0xc80000, length: 0x1000 },
    "0004 000c 0000000000c80000 00001000",
  ],
  [{ type: "RECV_BITMAP", block: "pc.ram" }, `0005 0007 06 ${text("pc.ram")}`],
  [{ type: "RESUME_ACK", value: 1 }, "0006 0004 00000001"],
  [{ type: "SWITCHOVER_ACK" }, "0007 0000"],
];

for (const [message, hex] of VECTORS) {
  Deno.test(`${hex.slice(0, 9)} ${message.type} is what QEMU sends, both ways`, async () => {
    const bytes = fromHex(hex);
    assertEquals(encodeReturnPathMessage(message).toHex(), bytes.toHex());
    for (
      const reader of [
        byteByByte(bytes),
        ...[...everySplit(bytes)].map((each) => each.reader),
      ]
    ) {
      assertEquals(await readReturnPathMessage(reader), message);
      assertEquals(await readReturnPathMessage(reader), undefined);
    }
    for (let length = 1; length < bytes.length; length++) {
      const cut = ByteReader.of(bytes.subarray(0, length));
      await assertRejects(() => readReturnPathMessage(cut), ConnectionLostError);
    }
  });
}

Deno.test("readReturnPathMessage() reads messages one after the other", async () => {
  const reader = byteByByte(fromHex(VECTORS.map(([, hex]) => hex).join("")));
  for (const [message] of VECTORS) assertEquals(await readReturnPathMessage(reader), message);
  assertEquals(await readReturnPathMessage(reader), undefined);
});

const long = (type: number, length: number, fill = 1) =>
  written((writer) => {
    writer.be16(type).be16(length);
    for (let i = 0; i < length; i++) writer.u8(fill);
  });

/** What is refused, and why. */
const REFUSED: readonly (readonly [string, string])[] = [
  ["0000 0000", "Unknown return-path message 0"],
  ["0008 0000", "Unknown return-path message 8"],
  ["ffff ffff", "Unknown return-path message 65535"],
  ["0001 0003 000000", "SHUT with 3 bytes, not 4"],
  ["0001 0000", "SHUT with 0 bytes"],
  ["0002 0008 0000000100000002", "PONG with 8 bytes"],
  ["0004 000d 0000000000c80000 00001000 00", "REQ_PAGES with 13 bytes, not 12"],
  ["0003 000c 0000000000c80000 00001000", "REQ_PAGES_ID with 12 bytes, which do not fit"],
  ["0003 0004 00000000", "REQ_PAGES_ID with 4 bytes"],
  [`0003 0013 0000000001099000 00001000 07 ${text("pc.ram")}`, "do not fit its block's name"],
  [`0003 0013 0000000001099000 00001000 05 ${text("pc.ram")}`, "do not fit its block's name"],
  [long(3, 513), "REQ_PAGES_ID with 513 bytes, not at most 512"],
  ["0005 0000", "RECV_BITMAP with 0 bytes"],
  ["0005 0001 05", "do not fit its block's name"],
  [long(5, 300, 200), "do not fit its block's name"],
  ["0006 0000", "RESUME_ACK with 0 bytes"],
  ["0007 0004 00000001", "SWITCHOVER_ACK with 4 bytes, not 0"],
];

for (const [hex, message] of REFUSED) {
  Deno.test(`readReturnPathMessage() refuses: ${message} (${hex.slice(0, 20)})`, async () => {
    await assertRefuses(hex, readReturnPathMessage, StreamFormatError, message);
  });
}

Deno.test("readReturnPathMessage() refuses an offset that no block has", async () => {
  const hex = "0004 000c ffffffffffffffff 00001000";
  await assertRefuses(hex, readReturnPathMessage, StreamFormatError, "absurd", 4);
});

Deno.test("readReturnPathMessage() refuses a block's name that is not text", async () => {
  await assertRefuses("0005 0003 02 c328", readReturnPathMessage, StreamFormatError, "not text", 4);
});

Deno.test("A request without a block's name is put and taken as any other is encoded and read", async () => {
  for (const start of [0, 4096, 2 ** 33 + 4096, 2 ** 52]) {
    const request = { type: "REQ_PAGES", block: undefined, start, length: 65536 } as const;
    const bytes = new Uint8Array(20);
    assertEquals(putPlainRequest(bytes, 2, request), 18);
    assertEquals(bytes.subarray(2, 18), encodeReturnPathMessage(request));
    const source = new MemorySource(bytes.subarray(2, 18));
    assertEquals(takePlainRequest(source), request);
    assertEquals(source.available, 0);
    assertEquals(await readReturnPathMessage(ByteReader.of(bytes.subarray(2, 18))), request);
  }
});

Deno.test("takePlainRequest() leaves everything else: parts, names, other types, offsets beyond all memory", () => {
  const named = { type: "REQ_PAGES", block: "pc.ram", start: 0, length: 4096 } as const;
  const plain = encodeReturnPathMessage({ ...named, block: undefined });
  const far = plain.slice();
  far[4] = 0x80;
  const others = [
    ...[plain.subarray(0, 15), encodeReturnPathMessage(named), far],
    new Uint8Array([...encodeReturnPathMessage({ type: "PONG", value: 1 }), ...plain]),
  ];
  for (const bytes of others) {
    const source = new MemorySource(bytes);
    assertEquals(takePlainRequest(source), undefined);
    assertEquals(source.available, bytes.length);
  }
});

import { assertEquals, assertRejects } from "@std/assert";
import { IncompatibleError, type MigrationError, StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import {
  countMissing,
  forgetPages,
  forgetParts,
  readAdvice,
  readBlock,
  readDiscard,
} from "../../src/postcopy/incoming_commands.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { Command, type ReceivedCommand } from "../../src/wire/command.ts";

const ram = GuestRam.create([{ name: "pc.ram", length: 8 * 4096 }, { name: "b", length: 4096 }]);

function received(command: Command, writer: ByteWriter): ReceivedCommand {
  const bytes = writer.take();
  return { command, length: bytes.length, payload: ByteReader.of(bytes) };
}

Deno.test("readAdvice() gives the sizes of the source's pages, of which its target page is one's part", async () => {
  const advise = (hostPages: number, page: number) =>
    received(Command.POSTCOPY_ADVISE, new ByteWriter().be64(hostPages).be64(page));
  for (
    const [hostPages, page] of [
      ...[[4096, 4096], [4096, 1024], [65536, 65536], [0x201000, 4096], [
        0x7ffff000,
        4096,
      ]] as const,
    ]
  ) {
    assertEquals(await readAdvice(advise(hostPages, page), page), hostPages);
  }
  for (const hostPages of [0, 0x200800, 0x80001000]) {
    const refused = () => readAdvice(advise(hostPages, 4096), 4096);
    await assertRejects(refused, IncompatibleError, `0x${hostPages.toString(16)} bytes`);
  }
  await assertRejects(() => readAdvice(advise(4096, 1024), 4096), IncompatibleError, "1024 bytes");
  const empty = received(Command.POSTCOPY_ADVISE, new ByteWriter());
  await assertRejects(() => readAdvice(empty, 4096), StreamFormatError, "0 bytes, not 16");
});

function discard(
  name: string,
  ranges: readonly (readonly [number, number])[],
  end = 0,
  version = 0,
) {
  const writer = new ByteWriter().u8(version).countedString(name).u8(end);
  for (const [start, length] of ranges) writer.be64(start).be64(length);
  return received(Command.POSTCOPY_RAM_DISCARD, writer);
}

Deno.test("readDiscard() gives a block and its ranges", async () => {
  const { block, ranges } = await readDiscard(
    discard("pc.ram", [[0, 4096], [0x4000, 0x4000]]),
    ram,
  );
  assertEquals([block.name, ranges], ["pc.ram", [
    { start: 0, length: 4096 },
    { start: 0x4000, length: 0x4000 },
  ]]);
});

Deno.test("readDiscard() refuses what is malformed or outside", async () => {
  const refuse = async (
    command: ReceivedCommand,
    message: string,
    type: new (what: string) => MigrationError = StreamFormatError,
  ) => {
    await assertRejects(() => readDiscard(command, ram), type, message);
  };
  await refuse(discard("", []), "too short");
  await refuse(discard("pc.ram", [[0, 4096]], 0, 1), "Version 1");
  await refuse(discard("pc.ram", [[0, 4096]], 9), "no end");
  await refuse(discard("nope", [[0, 4096]]), '"nope"', IncompatibleError);
  for (const range of [[512, 4096], [0, 512], [0, 0], [0x7000, 0x2000], [0x8000, 4096]] as const) {
    await refuse(discard("pc.ram", [range]), "is not whole pages");
  }
  const odd = new ByteWriter().u8(0).countedString("b").u8(0).zeros(17);
  await refuse(received(Command.POSTCOPY_RAM_DISCARD, odd), "do not fit a name");
  const long = new ByteWriter().u8(0).u8(200).zeros(30);
  await refuse(received(Command.POSTCOPY_RAM_DISCARD, long), "do not fit a name of 200");
});

Deno.test("forgetPages() and countMissing()", () => {
  for (const block of ram.blocks) block.received.fill(0, block.pageCount, true);
  assertEquals(countMissing(ram), 0);
  forgetPages(ram, ram.blocks[0]!, { start: 0x2000, length: 0x3000 });
  assertEquals([1, 2, 4, 5].map((page) => ram.blocks[0]!.received.has(page)), [
    ...[true, false, false, true],
  ]);
  assertEquals(countMissing(ram), 3);
});

Deno.test("forgetParts() keeps pages of the host that are there as a whole", () => {
  const of = (unit: number, pages: readonly number[]) => {
    const { layout } = GuestRam.create([{ name: "ram", length: 70 * 4096 }]);
    const blocks = layout.blocks.map((block) => ({ ...block, hostPageSize: unit * 4096 }));
    const own = new GuestRam({ ...layout, blocks });
    const [block] = own.blocks;
    for (const page of pages) block!.received.add(page);
    const forgotten = forgetParts(own, block!);
    const left = Array.from({ length: 70 }, (_, i) => i).filter((i) => block!.received.has(i));
    return [forgotten, left];
  };
  const all = Array.from({ length: 70 }, (_, i) => i);
  assertEquals(of(4, [0, 1, 2, 3, 5, 8, 9, 10, 11]), [1, [0, 1, 2, 3, 8, 9, 10, 11]]);
  assertEquals(of(8, all.slice(0, 63)), [7, all.slice(0, 56)]);
  assertEquals(of(8, all.slice(1)), [7, all.slice(8)]);
  // The last one is shorter, as the block is.
  assertEquals(of(8, all.slice(64)), [0, all.slice(64)]);
  assertEquals(of(8, all), [0, all]);
  assertEquals(of(1, [3, 5]), [0, [3, 5]]);
});

Deno.test("readBlock() finds a block by its counted name", async () => {
  const payload = (name: string) => ByteReader.of(new ByteWriter().countedString(name).take());
  assertEquals(await readBlock(payload("b"), ram), ram.blocks[1]);
  await assertRejects(() => readBlock(payload("c"), ram), IncompatibleError, '"c"');
});

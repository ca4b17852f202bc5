import { assertEquals, assertThrows } from "@std/assert";
import { StreamInput } from "../../src/analyze/input.ts";
import { readBlocks } from "../../src/analyze/ram_blocks.ts";
import { RamWalk } from "../../src/analyze/ram_walk.ts";
import { MigrationError } from "../../src/errors.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { fileOf, pipeOf } from "./fixtures/memory_bytes.ts";

const plain = { pageSize: 4096, ignoreShared: false, mappedRam: false };

function read(
  write: (writer: ByteWriter) => void,
  total: number,
  walk = new RamWalk(plain, undefined),
): RamWalk {
  const writer = new ByteWriter();
  write(writer);
  readBlocks(StreamInput.of(writer.take()), total, walk, undefined);
  return walk;
}

Deno.test("readBlocks() reads names and lengths, and a list that comes again keeps the pages", () => {
  const list = (writer: ByteWriter) =>
    void writer.countedString("a").be64(8192).countedString("b").be64(4096);
  const walk = read(list, 3 * 4096);
  const [a, b] = walk.blocks;
  assertEquals([a!.name, a!.firstPage, a!.pages], ["a", 0, 2]);
  assertEquals([b!.name, b!.firstPage, b!.pages], ["b", 2, 1]);
  a!.count(1, "zero");
  read(list, 3 * 4096, walk);
  assertEquals(walk.blocks.map((block) => block.sent), [1, 0]);
});

Deno.test("readBlocks() reads addresses with x-ignore-shared", () => {
  const walk = new RamWalk({ ...plain, ignoreShared: true }, undefined);
  read((writer) => writer.countedString("a").be64(4096).be64(0x100000000), 4096, walk);
  assertEquals(walk.blocks[0]!.address, 0x100000000n);
});

Deno.test("readBlocks() recognizes a block's own page size where postcopy announced it", () => {
  const walk = new RamWalk(plain, undefined);
  walk.advisedPageSizes = 0x200000n;
  const list = (writer: ByteWriter) => {
    writer.countedString("huge").be64(4 << 20).be64(0x200000).countedString("rom").be64(4096);
    writer.be64(0x10);
  };
  read(list, (4 << 20) + 4096, walk);
  assertEquals(walk.blocks.map((block) => block.hostPageSize), [0x200000, undefined]);
});

/** One block of 100 pages, of which some are there, and what stands behind it. */
function mapped(present: readonly number[], change: Partial<Record<string, number>> = {}) {
  const header = { version: 1, pageSize: 4096, bitmap: 38, pages: 8192, ...change };
  const writer = new ByteWriter().countedString("a").be64(100 * 4096);
  writer.be32(header.version).be64(header.pageSize).be64(header.bitmap).be64(header.pages);
  const bitmap = new Uint8Array(16);
  for (const page of present) bitmap[page >> 3]! |= 1 << (page & 7);
  writer.bytes(bitmap).zeros(8192 - writer.length + 100 * 4096).u8(0x77);
  return writer.take();
}

Deno.test("readBlocks() finds the pages of a mapped-ram file", () => {
  const bytes = mapped([0, 9, 64, 99, 101, 127]);
  for (const source of [fileOf(bytes), pipeOf(bytes)]) {
    const walk = new RamWalk({ ...plain, mappedRam: true }, undefined);
    const input = new StreamInput(source);
    const told: number[] = [];
    readBlocks(input, 100 * 4096, walk, {
      page: (_, page, kind, at) => {
        assertEquals([kind, at], ["normal", 8192 + page * 4096]);
        told.push(page);
      },
    });
    assertEquals(told, [0, 9, 64, 99]);
    assertEquals(walk.blocks[0]!.mapped, { bitmapOffset: 38, pagesOffset: 8192 });
    assertEquals(input.u8("what follows"), 0x77);
  }
});

for (
  const [change, message] of [
    [{ version: 2 }, "version 2"],
    [{ pageSize: 8192 }, "page of 8192"],
    [{ bitmap: 37 }, "overlap"],
    [{ pages: 53 }, "overlap"],
    [{ pages: 2 ** 50 }, "ended inside"],
    [{ bitmap: 2 ** 49, pages: 2 ** 50 }, "ended inside"],
  ] as const
) {
  Deno.test(`readBlocks() refuses a mapped-ram header with ${JSON.stringify(change)}`, () => {
    const walk = new RamWalk({ ...plain, mappedRam: true }, undefined);
    const input = new StreamInput(fileOf(mapped([], change)));
    assertThrows(() => readBlocks(input, 100 * 4096, walk, undefined), MigrationError, message);
  });
}

Deno.test("readBlocks() passes over a shared block of a mapped-ram file", () => {
  const walk = new RamWalk({ ...plain, ignoreShared: true, mappedRam: true }, undefined);
  read(
    (writer) => writer.countedString("a").be64(4096).be64(0).be32(1).be64(4096).be64(0).be64(0),
    4096,
    walk,
  );
  assertEquals(walk.blocks[0]!.mapped, undefined);
});

for (
  const [what, write, total, message] of [
    ["RAM without end", () => {}, 2 ** 50, "absurd"],
    ["a block without a name", (w) => w.countedString("").be64(4096), 4096, "without a name"],
    ["a larger block", (w) => w.countedString("a").be64(8192), 4096, "only 4096 of 4096 are left"],
    [
      "a name twice",
      (w) => {
        w.countedString("a").be64(4096).countedString("a").be64(4096);
      },
      8192,
      "listed twice",
    ],
    [
      "too many blocks",
      (w) => {
        for (let i = 0; i < 5000; i++) w.countedString(`b${i}`).be64(4096);
      },
      5000 * 4096,
      "More than 4096",
    ],
    [
      "empty blocks for ever",
      (w) => {
        for (let i = 0; i < 5000; i++) w.countedString(`b${i}`).be64(0);
      },
      4096,
      "More than 4096",
    ],
  ] as const satisfies readonly (readonly [string, (writer: ByteWriter) => void, number, string])[]
) {
  Deno.test(`readBlocks() refuses ${what}`, () => {
    assertThrows(() => read(write, total), MigrationError, message);
  });
}

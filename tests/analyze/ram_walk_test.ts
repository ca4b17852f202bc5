import { assertEquals, assertThrows } from "@std/assert";
import { StreamInput } from "../../src/analyze/input.ts";
import { RamWalk } from "../../src/analyze/ram_walk.ts";
import { StreamFormatError } from "../../src/errors.ts";
import { RamFlag } from "../../src/ram/flags.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { fileOf, pipeOf } from "./fixtures/memory_bytes.ts";
import { pageOf, PageRecords } from "./fixtures/stream_builder.ts";

const dialect = { pageSize: 4096, ignoreShared: false, mappedRam: false };

/** Two blocks, `a` of 100 pages and `b` of 50. */
function start(writer = new ByteWriter()): ByteWriter {
  writer.be64(150 * 4096 + RamFlag.MEM_SIZE);
  return writer.countedString("a").be64(100 * 4096).countedString("b").be64(50 * 4096);
}

type Told = [block: string, page: number, kind: string, at: number, length: number];

function walk(bytes: Uint8Array, source = fileOf(bytes)): { ram: RamWalk; told: Told[] } {
  const told: Told[] = [];
  const ram = new RamWalk(dialect, {
    page: (block, ...more) => void told.push([block.name, ...more]),
  });
  const input = new StreamInput(source);
  while (input.peek() !== undefined) ram.load(input);
  return { ram, told };
}

Deno.test("RamWalk tells of every page, what it is and where", () => {
  const writer = start();
  const at = writer.length;
  new PageRecords(writer).normal("a", 5, pageOf(1)).zero("b", 7, 3);
  writer.be64(8 * 4096 + (RamFlag.PAGE | RamFlag.CONTINUE)).bytes(pageOf(2));
  new PageRecords(writer).xbzrle("a", 5, [0, 1, 2]).compressed("a", 9, Uint8Array.of(1, 2, 3));
  const bytes = writer.be64(RamFlag.MULTIFD_FLUSH).be64(RamFlag.EOS).take();
  const expected: Told[] = [
    ["a", 5, "normal", at + 10, 4096],
    ["b", 7, "zero", 3, 0],
    ["b", 8, "normal", at + 10 + 4096 + 11 + 8, 4096],
    ["a", 5, "xbzrle", at + 2 * 4096 + 29 + 13, 3],
    ["a", 9, "compressed", at + 2 * 4096 + 45 + 14, 3],
  ];
  for (const source of [fileOf(bytes), pipeOf(bytes, 333)]) {
    const { ram, told } = walk(bytes, source);
    assertEquals(told, expected);
    assertEquals(ram.multifdFlushes, 1);
    assertEquals(ram.blocks.map((block) => block.records), [
      { normal: 1, zero: 0, xbzrle: 1, compressed: 1 },
      { normal: 1, zero: 1, xbzrle: 0, compressed: 0 },
    ]);
  }
});

Deno.test("RamWalk counts the source's rounds, over sections, and none in postcopy", () => {
  const writer = start().be64(RamFlag.EOS);
  const records = new PageRecords(writer);
  records.zero("a", 1).zero("a", 2);
  writer.be64(RamFlag.EOS);
  records.zero("b", 0).normal("a", 2, pageOf(0));
  writer.be64(RamFlag.EOS);
  records.zero("a", 2);
  const { ram } = walk(writer.be64(RamFlag.EOS).copy());
  assertEquals(ram.rounds.map(({ pages, zeroPages }) => [pages, zeroPages]), [
    [3, 3],
    [1, 0],
    [1, 1],
  ]);
  ram.postcopy = true;
  records.zero("a", 1);
  ram.load(StreamInput.of(writer.be64(RamFlag.EOS).take().slice(-19)));
  assertEquals(ram.rounds.length, 3);
});

Deno.test("RamWalk takes a page's size for what the stream says", () => {
  const ram = new RamWalk({ ...dialect, pageSize: 1024 }, undefined);
  const writer = new ByteWriter().be64(4096 + RamFlag.MEM_SIZE).countedString("a").be64(4096);
  writer.be64(3 * 1024 + RamFlag.PAGE).countedString("a").bytes(new Uint8Array(1024));
  ram.load(StreamInput.of(writer.be64(RamFlag.EOS).take()));
  assertEquals([ram.blocks[0]!.pages, ram.blocks[0]!.timesSent(3)], [4, 1]);
});

for (
  const [what, write, message] of [
    ["a page of no block", (w) => w.be64(0x28), "continues no block"],
    ["a page of another block", (w) => w.be64(0x08).countedString("c"), '"c", which is not listed'],
    ["a page outside", (w) => w.be64(100 * 4096 + 2).countedString("a").u8(0), "outside RAM block"],
    ["a page far outside", (w) => w.be64(2n ** 63n + 2n).countedString("a").u8(0), "outside"],
    ["flags that do not go together", (w) => w.be64(0x0a), "ZERO|PAGE"],
    ["no flags", (w) => w.be64(0), "no flag"],
    ["a hook", (w) => w.be64(0x80), "HOOK"],
    ["an unknown flag", (w) => w.be64(0x400), "0x400"],
    ["XBZRLE of another kind", (w) => w.be64(0x40).countedString("a").u8(2).be16(0), "encoding 2"],
    ["XBZRLE that is too long", (w) => w.be64(0x40).countedString("a").u8(1).be16(4097), "4097"],
    ["XBZRLE of a new page", (w) => w.be64(0x40).countedString("a").u8(1).be16(0), "never came"],
    ["a long compressed page", (w) => w.be64(0x100).countedString("a").be32(8193), "8193"],
  ] as const satisfies readonly (readonly [string, (writer: ByteWriter) => unknown, string])[]
) {
  Deno.test(`RamWalk refuses ${what}, and says where`, () => {
    const writer = start();
    const at = writer.length;
    write(writer);
    const bytes = writer.zeros(100).take();
    const error = assertThrows(() => walk(bytes), StreamFormatError, message);
    assertEquals(error.place.offset! >= at && error.place.offset! < at + 20, true);
  });
}

Deno.test("RamWalk needs little memory for much RAM", () => {
  const GIB = 1024 ** 3;
  const pages = 64 * GIB / 4096;
  const head = new ByteWriter().be64(64 * GIB + RamFlag.MEM_SIZE).countedString("a").be64(64 * GIB)
    .be64(0x02).countedString("a").u8(0).take();
  let at = 0;
  // 64 GiB of zero pages, made as they are read.
  const source = {
    name: "large",
    size: undefined,
    read(into: Uint8Array): number {
      if (at < head.length) {
        into.set(head);
        at = head.length;
        return head.length;
      }
      const first = 1 + (at - head.length) / 9;
      const count = Math.min(Math.floor(into.length / 9), pages - first);
      const view = new DataView(into.buffer, into.byteOffset);
      for (let i = 0; i < count; i++) {
        const offset = (first + i) * 4096;
        view.setUint32(9 * i, offset / 2 ** 32);
        view.setUint32(9 * i + 4, offset % 2 ** 32 + 0x22);
        view.setUint8(9 * i + 8, 0);
      }
      if (count > 0) {
        at += 9 * count;
        return 9 * count;
      }
      into.set(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0x10]));
      return 8;
    },
  };
  const before = Deno.memoryUsage().external;
  const ram = new RamWalk(dialect, undefined);
  ram.load(new StreamInput(source));
  assertEquals([ram.blocks[0]!.sent, ram.rounds.length], [pages, 1]);
  const grown = Deno.memoryUsage().external - before;
  assertEquals(grown < 2 * pages, true, `${grown} bytes for ${pages} pages`);
});

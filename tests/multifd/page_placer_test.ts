import { assertEquals, assertThrows } from "@std/assert";
import { StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import type { Decompressor, Span } from "../../src/multifd/codec.ts";
import { PagePlacer } from "../../src/multifd/page_placer.ts";
import { ReceiveBuffer } from "../../src/multifd/receive_buffer.ts";
import { MemoryChannel } from "../ram/fixtures/channels.ts";
import { pagesOf } from "./fixtures/packets.ts";
import { contentOf, inSegments } from "./fixtures/ram.ts";

/** Where a test puts offsets and content: behind what the buffer itself uses. */
const OFFSETS = 100_000;
const CONTENT = 200_000;

/** A placer over one block, "b", of 20 pages, whose pages 3, 6, 9... begin segments. */
function setUp(content: Uint8Array = new Uint8Array(0)) {
  const ram = inSegments(GuestRam.create([{ name: "b", length: 20 * 4096 }]));
  const buffer = new ReceiveBuffer(new MemoryChannel([content]), 500_000);
  const placer = new PagePlacer(ram, buffer);
  const [block] = ram.blocks;
  return {
    ...{ ram, buffer, placer, block: block! },
    parse(list: "normal" | "zero", ...pages: number[]): number {
      pages.forEach((page, i) => buffer.view.setBigUint64(OFFSETS + 8 * i, BigInt(page * 4096)));
      return placer.parse(block!, OFFSETS, pages.length, list);
    },
    /** What the pages of the block hold: the number of the pattern, or 0. */
    numbers(): number[] {
      const bytes = contentOf(ram, "b");
      return Array.from({ length: 20 }, (_, page) => {
        const found = bytes.slice(page * 4096, (page + 1) * 4096).toHex();
        if (/^0*$/.test(found)) return 0;
        return Array.from({ length: 40 }, (_, i) => i).find((i) => pagesOf(i).toHex() === found) ??
          -1;
      });
    },
  };
}

const only = (...numbers: [number, number][]) => {
  const all = new Array<number>(20).fill(0);
  for (const [page, number] of numbers) all[page] = number;
  return all;
};

Deno.test("PagePlacer.parse() makes runs of pages that lie side by side", () => {
  const { parse } = setUp();
  assertEquals(parse("normal", 1, 2, 3, 4, 5), 1);
  assertEquals(parse("normal", 5, 4, 3), 3);
  assertEquals(parse("normal", 0, 1, 5, 6, 7, 19), 3);
  assertEquals(parse("zero", 2, 2), 2);
  assertEquals(parse("zero"), 0);
});

Deno.test("PagePlacer.parse() names the first offset that is no page of the block", () => {
  const { parse } = setUp();
  assertThrows(() => parse("normal", 1, 2, 20, 21), StreamFormatError, "a page at 0x14000 of");
  assertThrows(() => parse("zero", 1.5), StreamFormatError, "a page at 0x1800 of");
});

Deno.test("PagePlacer.readInPlace() reads runs across segments", async () => {
  const { parse, placer, block, numbers } = setUp(pagesOf(11, 12, 13, 14, 15, 16, 17, 18));
  const runs = parse("normal", 1, 2, 3, 4, 5, 6, 7, 19);
  await placer.readInPlace(block, runs);
  const expected: [number, number][] = [1, 2, 3, 4, 5, 6, 7].map((page) => [page, page + 10]);
  assertEquals(numbers(), only(...expected, [19, 18]));
  assertEquals(block.received.words[0], 0b1000_0000_0000_1111_1110);
  assertEquals(block.untouched.words[0], 0b0111_1111_1111_0000_0001);
});

Deno.test("PagePlacer.scatter() copies runs inside and across segments", () => {
  const { parse, placer, block, buffer, numbers } = setUp();
  buffer.bytes.set(pagesOf(1, 2, 3, 4, 5, 6, 7, 8), CONTENT);
  const runs = parse("normal", 0, 4, 5, 6, 7, 2, 9, 12);
  placer.scatter(block, runs, CONTENT);
  assertEquals(
    numbers(),
    only([0, 1], [4, 2], [5, 3], [6, 4], [7, 5], [2, 6], [9, 7], [12, 8]),
  );
  assertEquals(block.received.count(), 8);
  assertEquals(block.untouched.count(), 12);
});

Deno.test("PagePlacer.decompress() gives the decompressor each piece's place, in order", () => {
  const { parse, placer, block, numbers } = setUp();
  let next = 1;
  const lengths: number[] = [];
  const decompressor: Decompressor = {
    begin: () => {},
    take: ({ bytes, at, length }: Span) => {
      lengths.push(length / 4096);
      for (let page = 0; page < length; page += 4096) bytes.set(pagesOf(next++), at + page);
    },
    end: () => {},
    close: () => {},
  };
  placer.decompress(block, parse("normal", 2, 3, 4, 8), decompressor);
  assertEquals(lengths, [1, 2, 1]);
  assertEquals(numbers(), only([2, 1], [3, 2], [4, 3], [8, 4]));
  assertEquals(block.received.count(), 4);
});

Deno.test("PagePlacer.placeZeros() clears what had content, leaves the rest alone, and marks both", () => {
  const { parse, placer, block, buffer, numbers } = setUp();
  buffer.bytes.set(pagesOf(1, 2), CONTENT);
  placer.scatter(block, parse("normal", 2, 10), CONTENT);
  placer.placeZeros(block, parse("zero", 1, 2, 3, 4, 5));
  assertEquals(numbers(), only([10, 2]));
  assertEquals(block.received.words[0], 0b0100_0011_1110);
  // Page 2 has been written, with zeros in the end; the others were not touched.
  assertEquals([block.untouched.has(2), block.untouched.has(3)], [false, true]);
});

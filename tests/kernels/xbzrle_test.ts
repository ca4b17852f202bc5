import { assert, assertEquals } from "@std/assert";
import { bindRamRecords, XBZRLE_FAULTS } from "../../src/kernels/ram_records.ts";
import { bindXbzrle, XBZRLE_SLACK } from "../../src/kernels/xbzrle.ts";
import { changeSome, encodeDifferences, numbers, runLength } from "../ram/fixtures/xbzrle.ts";

const OUT = 64;

function kernels(size = 4096) {
  const make = (pages = 4) =>
    new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const [ram, cache, io, tables] = [make(), make(), make(), make(1)] as const;
  const bytes = (memory: WebAssembly.Memory, at = 0, length = size) =>
    new Uint8Array(memory.buffer, at, length);
  const encoder = bindXbzrle(ram, cache, io, tables);
  const decoder = bindRamRecords(ram, io, tables);
  return { ram: bytes(ram), cache: bytes(cache), io: bytes(io, 0, 4 * 65536), encoder, decoder };
}

/** A page with a byte of another value at each of these places. */
function changed(size: number, places: Iterable<number>): Uint8Array {
  const page = new Uint8Array(size);
  for (const place of places) page[place] = 1 + place % 255;
  return page;
}

const every = (step: number, size: number, from = 0) =>
  Array.from({ length: Math.ceil((size - from) / step) }, (_, i) => from + i * step);

for (const size of [1024, 4096, 16384]) {
  for (
    const [what, places] of Object.entries({
      nothing: [],
      "the first byte": [0],
      "the last byte": [size - 1],
      "both ends": [0, size - 1],
      "everything": every(1, size),
      "bytes around the blocks of 64": [63, 64, 127, 128, 129, 200, 255, 256],
      "a run over two blocks": every(1, 100, 30),
      "whole blocks": every(1, 192, 64),
      "a run of 127": every(1, 300 + 127, 300),
      "a run of 128": every(1, 300 + 128, 300),
      "all but one": every(1, size).filter((place) => place !== 500),
      "every second": every(2, size),
      "every third: as much as a page": every(3, size),
      "every fourth": every(4, size, 3),
    })
  ) {
    Deno.test(`The XBZRLE encoder writes ${what} of ${size} as runs as long as can be`, () => {
      const { ram, cache, io, encoder } = kernels(size);
      const page = changed(size, places);
      ram.set(page);
      const expected = encodeDifferences(new Uint8Array(size), page);
      io.fill(0xee);
      const length = encoder.encode(0, 0, size, OUT);
      assertEquals(length, expected ? expected.length : -1);
      if (expected) assertEquals(io.slice(OUT, OUT + length), expected);
      assertEquals(new Uint8Array(cache), page);
      assertEquals(io[OUT - 1], 0xee);
      assertEquals(io[OUT + size + XBZRLE_SLACK], 0xee);
    });
  }
}

Deno.test("The XBZRLE encoder and decoder agree with the grammar in plain code, whatever changes", () => {
  const random = numbers(20250101);
  const { ram, cache, io, encoder, decoder } = kernels();
  const seen = { same: 0, differences: 0, overflow: 0 };
  for (let i = 0; i < 3000; i++) {
    const old = Uint8Array.from({ length: 4096 }, () => random(3));
    const now = old.slice();
    changeSome(now, random);
    cache.set(old);
    ram.set(now);
    const expected = encodeDifferences(old, now);
    const length = encoder.encode(0, 0, 4096, OUT);
    assertEquals(new Uint8Array(cache), now);
    if (!expected) {
      seen.overflow++;
      assertEquals(length, -1);
      continue;
    }
    seen[length === 0 ? "same" : "differences"]++;
    assertEquals(io.slice(OUT, OUT + length), expected);
    ram.set(old);
    assertEquals(decoder.xbzrle(OUT, length, 0, 4096), 0);
    assertEquals(new Uint8Array(ram), now);
  }
  assert(Object.values(seen).every((count) => count > 100), JSON.stringify(seen));
});

Deno.test("The XBZRLE decoder takes runs that are split, and leaves the rest as it is", () => {
  const { ram, io, decoder } = kernels();
  ram.fill(7);
  const data = [0, 2, 1, 2, 1, 1, 3, ...runLength(4000), 1, 9];
  io.set(data, OUT);
  assertEquals(decoder.xbzrle(OUT, data.length, 0, 4096), 0);
  const expected = new Uint8Array(4096).fill(7);
  expected.set([1, 2, 7, 3]);
  expected[4004] = 9;
  assertEquals(new Uint8Array(ram), expected);
  assertEquals(decoder.xbzrle(OUT, 0, 0, 4096), 0);
});

Deno.test("The XBZRLE decoder places runs of each length, and nothing beside them", () => {
  const { ram, io, decoder } = kernels();
  const run = (length: number) => Array.from({ length }, (_, i) => 1 + (i * 7 + length) % 250);
  for (let length = 1; length <= 300; length++) {
    const at = 100 + length % 19;
    const data = [...runLength(at), ...runLength(length), ...run(length), 1, 1, 9];
    ram.fill(0);
    io.fill(0xee);
    io.set(data, OUT);
    assertEquals(decoder.xbzrle(OUT, data.length, 0, 4096), 0);
    const expected = new Uint8Array(4096);
    expected.set([...run(length), 0, 9], at);
    assertEquals(new Uint8Array(ram), expected);
  }
});

Deno.test("The XBZRLE encoder goes on after a run that was too much, wherever that ended", () => {
  // Every second byte is too much at 2730; what follows is looked at all the same.
  for (const last of [2728, 2730, 2732, 2750, 2752, 2815, 2816, 2817, 3000]) {
    const { ram, cache, io, encoder } = kernels();
    const page = changed(4096, [...every(2, last), 4000, 4090, 4095]);
    ram.set(page);
    const expected = encodeDifferences(new Uint8Array(4096), page);
    const length = encoder.encode(0, 0, 4096, OUT);
    assertEquals(length, expected ? expected.length : -1);
    if (expected) assertEquals(io.slice(OUT, OUT + length), expected);
    assertEquals(new Uint8Array(cache), page);
  }
  // A long run that ends at a block's end, where the overflow is noticed in the next one.
  for (const from of [0, 1, 2]) {
    const { ram, cache, encoder } = kernels();
    const places = [...every(2, 1100), ...every(1, 4032, 1500 - from), 4080, 4095];
    const page = changed(4096, places);
    ram.set(page);
    assertEquals(encodeDifferences(new Uint8Array(4096), page), undefined);
    assertEquals(encoder.encode(0, 0, 4096, OUT), -1);
    assertEquals(new Uint8Array(cache), page);
  }
});

/** What is wrong, and which rule it breaks. */
const WRONG: readonly (readonly [string, readonly number[], number])[] = [
  ["a single byte", [0], 1],
  ["a length of unchanged bytes with nothing behind it", [1, 1, 5, 9], 1],
  ["a second length that is missing", [0x81, 0x01], 1],
  ["a second length of which one byte is left", [0x81, 0x01, 1], 1],
  ["a first length of three bytes", [0x80, 0x80, 1, 1, 5], 2],
  ["a second length of three bytes", [0, 0x80, 0x80, 1, 5], 2],
  ["no unchanged bytes between two runs", [0, 1, 5, 0, 1, 5], 3],
  ["unchanged bytes beyond the page", [...runLength(4097), 1, 5], 4],
  ["the longest run of unchanged bytes", [0xff, 0x7f, 1, 5], 4],
  ["unchanged bytes beyond the page, later", [0, 1, 5, ...runLength(4096), 1, 5], 4],
  ["no changed bytes", [1, 0, 1, 1, 5], 5],
  ["a changed byte behind the page", [...runLength(4096), 1, 5], 6],
  ["changed bytes up to behind the page", [...runLength(4095), 2, 5, 6], 6],
  ["changed bytes that are missing", [0, 3, 1, 2], 7],
  ["no changed bytes where a page of them should be", [0, ...runLength(4096)], 7],
];

for (const [what, data, fault] of WRONG) {
  Deno.test(`The XBZRLE decoder refuses ${what}, and writes nothing outside the page`, () => {
    const { ram, io, decoder } = kernels();
    const all = new Uint8Array(ram.buffer);
    all.fill(7);
    io.fill(5);
    io.set(data, OUT);
    assertEquals(decoder.xbzrle(OUT, data.length, 65536, 4096), fault);
    assert(all.every((byte, i) => byte === 7 || i >= 65536 && i < 65536 + 4096));
  });
}

Deno.test("Each rule of the XBZRLE decoder has its words and was broken", () => {
  assertEquals(
    XBZRLE_FAULTS.map((_, fault) => fault).slice(1),
    [...new Set(WRONG.map(([, , fault]) => fault))].sort(),
  );
});

Deno.test("The XBZRLE decoder survives noise without writing outside the page", () => {
  const random = numbers(7);
  const { ram, io, decoder } = kernels();
  const all = new Uint8Array(ram.buffer);
  const outside = () =>
    all.subarray(0, 65536).some((b) => b !== 7) ||
    all.subarray(65536 + 4096, 3 * 65536).some((b) => b !== 7);
  all.fill(7);
  let right = 0;
  for (let i = 0; i < 20_000; i++) {
    const length = random(24);
    for (let j = 0; j < length; j++) io[OUT + j] = random(4) ? random(8) : random(256);
    if (decoder.xbzrle(OUT, length, 65536, 4096) === 0) right++;
  }
  assert(!outside());
  assert(right > 100, `${right}`);
});

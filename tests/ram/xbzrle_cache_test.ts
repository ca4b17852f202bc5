import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { XBZRLE_ENTRY, XBZRLE_SLACK } from "../../src/kernels/xbzrle.ts";
import { XbzrleCache } from "../../src/ram/xbzrle_cache.ts";

Deno.test("XbzrleCache has a place for each page, shared with those a multiple of its size away", () => {
  const cache = new XbzrleCache(16 * 4096, 4096, 1000);
  assertEquals(cache.slots, 16);
  assertEquals(cache.placeOf(21), cache.placeOf(5));
  assertEquals(cache.placeOf(37), cache.placeOf(5));
  assertNotEquals(cache.placeOf(6), cache.placeOf(5));
  // Behind the last place comes the first one again.
  assertEquals([5, 15, 16].map((page) => cache.placeOf(page).row), [11, 1, 16]);
});

Deno.test("XbzrleCache is no larger than RAM, and has at least one place", () => {
  assertEquals(new XbzrleCache(2 ** 40, 4096, 1000).slots, 1024);
  assertEquals(new XbzrleCache(2 ** 40, 4096, 1024).slots, 1024);
  assertEquals(new XbzrleCache(4096, 65536, 1024).slots, 1);
  assertEquals(new XbzrleCache(2 ** 40, 4096, 0).slots, 1);
});

Deno.test("XbzrleCache's places and entries do not overlap, and one can be read behind each page", () => {
  const cache = new XbzrleCache(64 * 1024, 1024, 1000);
  const { memory, entry: table } = cache.placeOf(0);
  assert(table >= cache.slots * 1024 + XBZRLE_SLACK);
  for (let slot = 0; slot < cache.slots; slot++) {
    const place = cache.placeOf(slot);
    assertEquals(place.memory, memory);
    assertEquals(place.address, slot * 1024);
    assertEquals(place.entry, table + slot * XBZRLE_ENTRY);
  }
  assert(memory.buffer.byteLength >= table + cache.slots * XBZRLE_ENTRY);
});

Deno.test("XbzrleCache of more than a memory holds has several, and no row crosses their ends", () => {
  const pages = 3 * 1024 ** 3 / 65536;
  const cache = new XbzrleCache(4 * 1024 ** 3, 65536, pages);
  const perMemory = 1024 ** 3 / 65536;
  assertEquals(cache.slots, 4 * perMemory);
  const [last, next] = [cache.placeOf(perMemory - 1), cache.placeOf(perMemory)];
  assertEquals([last.address, last.row], [1024 ** 3 - 65536, 1]);
  assertEquals([next.address, next.row], [0, perMemory]);
  assert(last.memory !== next.memory);
  assertEquals(cache.placeOf(5 * perMemory).memory, next.memory);
});

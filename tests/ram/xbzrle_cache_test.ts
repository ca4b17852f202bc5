import { assert, assertEquals } from "@std/assert";
import { XbzrleCache } from "../../src/ram/xbzrle_cache.ts";

Deno.test("XbzrleCache has a place for each page, shared with those a multiple of its size away", () => {
  const cache = new XbzrleCache(16 * 4096, 4096, 1000);
  assertEquals(cache.slots, 16);
  assertEquals(cache.find(5, 2), -1);
  assertEquals(cache.place(5, 2), 5);
  assertEquals(cache.find(5, 2), 5);
  assertEquals([cache.find(21, 2), cache.find(6, 2)], [-1, -1]);
  assertEquals(cache.place(5, 2), 5);
});

Deno.test("XbzrleCache keeps a page for the round it was used in and the one after it", () => {
  const cache = new XbzrleCache(16 * 4096, 4096, 1000);
  cache.place(5, 2);
  assertEquals([cache.place(21, 2), cache.place(21, 3)], [-1, -1]);
  // Looking for it counts as using it.
  assertEquals(cache.find(5, 3), 5);
  assertEquals(cache.place(21, 4), -1);
  assertEquals(cache.place(21, 5), 5);
  assertEquals([cache.find(5, 5), cache.find(21, 5)], [-1, 5]);
  // Not finding a page is no use of the one in its place.
  assertEquals([cache.find(37, 9), cache.place(37, 9)], [-1, 5]);
});

Deno.test("XbzrleCache is no larger than RAM, and has at least one place", () => {
  assertEquals(new XbzrleCache(2 ** 40, 4096, 1000).slots, 1024);
  assertEquals(new XbzrleCache(2 ** 40, 4096, 1024).slots, 1024);
  assertEquals(new XbzrleCache(4096, 65536, 1024).slots, 1);
  assertEquals(new XbzrleCache(2 ** 40, 4096, 0).slots, 1);
});

Deno.test("XbzrleCache's places do not overlap, and one can be read behind each", () => {
  const cache = new XbzrleCache(64 * 1024, 1024, 1000);
  const memory = cache.memoryOf(0);
  for (let slot = 0; slot < cache.slots; slot++) {
    assertEquals(cache.memoryOf(slot), memory);
    assertEquals(cache.addressOf(slot), slot * 1024);
  }
  assert(memory.buffer.byteLength >= cache.addressOf(cache.slots - 1) + 1024 + 16);
});

Deno.test("XbzrleCache of more than a memory holds has several", () => {
  const pages = 3 * 1024 ** 3 / 65536;
  const cache = new XbzrleCache(4 * 1024 ** 3, 65536, pages);
  const perMemory = 1024 ** 3 / 65536;
  assertEquals(cache.slots, 4 * perMemory);
  assertEquals(cache.addressOf(perMemory - 1), 1024 ** 3 - 65536);
  assertEquals(cache.addressOf(perMemory), 0);
  assert(cache.memoryOf(perMemory - 1) !== cache.memoryOf(perMemory));
});

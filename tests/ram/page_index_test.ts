import { assertEquals } from "@std/assert";
import { PageIndex } from "../../src/ram/page_index.ts";

Deno.test("PageIndex keeps where each page's record is, in every thread that opens it", () => {
  const index = PageIndex.create([3, 0, 2]);
  const there = new PageIndex(index.layout);
  assertEquals([there.has(0, 0), there.hasAllPages], [false, false]);
  index.set(0, 0, 8, false);
  index.set(0, 2, 2 ** 45, true);
  index.set(2, 1, 2 ** 45 + 1, false);
  assertEquals([0, 1, 2].map((page) => there.has(0, page)), [true, false, true]);
  assertEquals([there.offset(0, 0), there.isZero(0, 0)], [8, false]);
  assertEquals([there.offset(0, 2), there.isZero(0, 2)], [2 ** 45, true]);
  assertEquals([there.offset(2, 1), there.isZero(2, 1)], [2 ** 45 + 1, false]);
  // A later record takes the place of an earlier one.
  index.set(0, 2, 5000, false);
  assertEquals([there.offset(0, 2), there.isZero(0, 2)], [5000, false]);
  index.set(0, 1, 1, true);
  index.set(2, 0, 2, true);
  assertEquals(there.hasAllPages, true);
});

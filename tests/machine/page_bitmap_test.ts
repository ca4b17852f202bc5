import { assertEquals, assertThrows } from "@std/assert";
import { PageBitmap, pageBitmapBytes } from "../../src/machine/page_bitmap.ts";

function bitmapOf(pageCount: number, ...pages: number[]): PageBitmap {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const bitmap = new PageBitmap({ memory, byteOffset: 64, pageCount });
  for (const page of pages) bitmap.add(page);
  return bitmap;
}

function pagesIn(bitmap: PageBitmap): number[] {
  const pages: number[] = [];
  for (let page = 0; (page = bitmap.next(page)) < bitmap.pageCount; page++) pages.push(page);
  return pages;
}

Deno.test("pageBitmapBytes() is whole cache lines", () => {
  assertEquals([0, 1, 512, 513].map(pageBitmapBytes), [0, 64, 64, 128]);
});

Deno.test("PageBitmap.add() and delete() say what was there before", () => {
  const bitmap = bitmapOf(70);
  for (const page of [0, 31, 32, 63, 69]) {
    assertEquals([bitmap.has(page), bitmap.add(page), bitmap.add(page)], [false, true, false]);
    assertEquals([bitmap.has(page), bitmap.count()], [true, 1]);
    assertEquals([bitmap.delete(page), bitmap.delete(page)], [true, false]);
  }
});

Deno.test("PageBitmap.fill() sets and clears exactly its range", () => {
  for (const first of [0, 1, 30, 31, 32, 33, 64, 99]) {
    for (const count of [0, 1, 2, 31, 32, 33, 64, 70]) {
      if (first + count > 100) continue;
      const range = Array.from({ length: count }, (_, i) => first + i);
      const bitmap = bitmapOf(100);
      bitmap.fill(first, count, true);
      assertEquals(pagesIn(bitmap), range);
      assertEquals(bitmap.count(), count);
      bitmap.fill(0, 100, true);
      bitmap.fill(first, count, false);
      assertEquals(bitmap.count(), 100 - count);
      assertEquals(range.some((page) => bitmap.has(page)), false);
    }
  }
});

Deno.test("PageBitmap.fill() refuses a range outside, and changes nothing", () => {
  const bitmap = bitmapOf(100);
  for (const [first, count] of [[-1, 1], [0, 101], [100, 1], [50, -1]] as const) {
    assertThrows(() => bitmap.fill(first, count, true), RangeError);
  }
  assertEquals(bitmap.count(), 0);
});

Deno.test("PageBitmap.next() finds set and clear bits, and the end", () => {
  const bitmap = bitmapOf(100, 0, 31, 32, 96);
  assertEquals([0, 1, 31, 32, 33, 97].map((from) => bitmap.next(from)), [0, 31, 31, 32, 96, 100]);
  assertEquals([0, 31, 96].map((from) => bitmap.next(from, false)), [1, 33, 97]);
  bitmap.fill(0, 100, true);
  assertEquals(bitmap.next(0, false), 100);
});

Deno.test("PageBitmap.merge() adds, and refuses another length", () => {
  const bitmap = bitmapOf(100, 1, 50);
  bitmap.merge(bitmapOf(100, 50, 99));
  assertEquals(pagesIn(bitmap), [1, 50, 99]);
  assertThrows(() => bitmap.merge(bitmapOf(99)), RangeError);
});

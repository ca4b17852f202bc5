import { assertEquals } from "@std/assert";
import { PAGE_SIZE, PAGE_SIZE_LIMITS, pagesOf, targetPageSize } from "../../src/machine/page.ts";

Deno.test("pagesOf() counts a page that is filled in part", () => {
  assertEquals([0, 1, 4095, 4096, 4097].map((bytes) => pagesOf(bytes)), [0, 1, 1, 1, 2]);
  assertEquals(pagesOf(2 ** 40 + 1, 65536), 2 ** 24 + 1, "more than 32 bits");
});

Deno.test("targetPageSize() is what the stream says, and x86's where it says nothing", () => {
  assertEquals(targetPageSize(undefined), PAGE_SIZE);
  const { min, max } = PAGE_SIZE_LIMITS;
  assertEquals([10, 12, 16].map(targetPageSize), [min, 4096, max]);
});

import { assertEquals } from "@std/assert";
import { Arrivals } from "../../src/postcopy/page_store.ts";
import { Missing } from "./fixtures/missing.ts";

Deno.test("Arrivals.arrived() leaves a page untouched that was only made to read as zeros", () => {
  using missing = new Missing("checks");
  const arrivals = new Arrivals(missing.missing.layout);
  const [ram] = missing.ram.blocks;
  arrivals.arrived(ram!, 1, false);
  arrivals.arrived(ram!, 2, true);
  assertEquals([ram!.received.has(1), ram!.received.has(2)], [true, true]);
  assertEquals([ram!.untouched.has(1), ram!.untouched.has(2)], [true, false]);
});

Deno.test("Arrivals.pagesOf() is a page of the host in target pages", () => {
  for (const [pageSize, pages] of [[1024, 4], [4096, 1], [16384, 1]] as const) {
    using missing = new Missing("checks", pageSize);
    const arrivals = new Arrivals(missing.missing.layout);
    assertEquals(arrivals.pagesOf(missing.ram.blocks[0]!), pages);
  }
});

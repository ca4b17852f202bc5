import { assertEquals } from "@std/assert";
import { PAGE, PAGES, rehearsalRam } from "../../src/postcopy/rehearsal.ts";

Deno.test("rehearsalRam() is new each time, and no page of it was touched", () => {
  const { ram, block } = rehearsalRam();
  assertEquals([block.length, block.hostPageSize, ram.pageSize], [PAGES * PAGE, PAGE, PAGE]);
  block.view(0, 1)[0] = 1;
  assertEquals(rehearsalRam().block.view(0, 1)[0], 0);
  assertEquals(block.untouched.count(), PAGES);
});

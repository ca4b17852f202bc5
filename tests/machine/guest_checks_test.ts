import { assertEquals, assertThrows } from "@std/assert";
import { GuestChecks } from "../../src/machine/guest_checks.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";

const PAGE = 4096;

function marksOf(...ranges: [offset: number, length: number][]): number[] {
  const [block] = GuestRam.create([{ name: "heap", length: 8 * PAGE }]).blocks;
  const checks = new GuestChecks(PAGE);
  checks.marks = true;
  for (const [offset, length] of ranges) checks.mark(block!, offset, length);
  return Array.from({ length: 8 }, (_, page) => page).filter((page) => block!.barrier.has(page));
}

Deno.test("GuestChecks.mark() marks every page a range touches and no other", () => {
  assertEquals(marksOf([0, 1]), [0]);
  assertEquals(marksOf([PAGE - 1, 2]), [0, 1]);
  assertEquals(marksOf([PAGE, PAGE]), [1]);
  assertEquals(marksOf([2 * PAGE + 5, 3 * PAGE], [7 * PAGE, PAGE]), [2, 3, 4, 5, 7]);
  assertEquals(marksOf([3 * PAGE, 0]), []);
});

Deno.test("GuestChecks.mark() refuses what is outside the block", () => {
  for (const [offset, length] of [[-1, 1], [8 * PAGE, 1], [7 * PAGE, PAGE + 1]] as const) {
    assertThrows(() => marksOf([offset, length]), RangeError);
  }
});

Deno.test("GuestChecks does nothing that was not asked for", () => {
  const [block] = GuestRam.create([{ name: "heap", length: 8 * PAGE }]).blocks;
  const checks = new GuestChecks(PAGE);
  const waited: number[][] = [];
  checks.ensure(block!, 0, 1);
  checks.waitForPages = (_, offset, length) => waited.push([offset, length]);
  checks.ensure(block!, 0, 1);
  checks.mark(block!, 0, 1);
  assertEquals([waited, block!.barrier.count()], [[], 0]);
  checks.presence = true;
  checks.ensure(block!, 5, 6);
  assertEquals(waited, [[5, 6]]);
});

import { assertEquals } from "@std/assert";
import { claimPages, claimUnits } from "../../src/batch/claim.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";

const PAGES = 1000;

function dirtyBitmap(pages: Iterable<number>) {
  const block = GuestRam.create([{ name: "heap", length: PAGES * 4096 }]).blocks[0]!;
  for (const page of pages) block.dirty.add(page);
  return block.dirty;
}

function claimedRuns(dirty: ReturnType<typeof dirtyBitmap>, first: number, count: number) {
  const into = new Int32Array(2 * count);
  const runs = claimPages(dirty, first, count, into);
  return Array.from({ length: runs }, (_, i) => [into[2 * i], into[2 * i + 1]]);
}

Deno.test("claimPages() takes what is dirty inside the range and leaves the rest", () => {
  const dirty = dirtyBitmap([0, 3, 4, 5, 31, 32, 33, 63, 64, 200]);
  assertEquals(claimedRuns(dirty, 1, 64), [[3, 3], [31, 3], [63, 2]]);
  assertEquals([0, 3, 33, 64, 200].map((page) => dirty.has(page)), [
    true,
    false,
    false,
    false,
    true,
  ]);
  assertEquals(claimedRuns(dirty, 1, 64), []);
});

Deno.test("claimPages() joins runs across words", () => {
  const dirty = dirtyBitmap(Array.from({ length: 300 }, (_, i) => i + 17));
  assertEquals(claimedRuns(dirty, 0, 128), [[17, 111]]);
  assertEquals(claimedRuns(dirty, 128, 128), [[128, 128]]);
  assertEquals(claimedRuns(dirty, 256, 128), [[256, 61]]);
  assertEquals(dirty.count(), 0);
});

Deno.test("claimPages() claims every page once, whatever the pattern and the split", () => {
  for (let seed = 1; seed < 200; seed++) {
    let state = seed;
    const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32;
    const density = random();
    const pages = new Set(
      Array.from({ length: PAGES }, (_, i) => i).filter(() => random() < density),
    );
    const dirty = dirtyBitmap(pages);
    const claimed: number[] = [];
    for (let at = 0; at < PAGES;) {
      const count = Math.min(1 + Math.floor(random() * 128), PAGES - at);
      for (const [first, length] of claimedRuns(dirty, at, count)) {
        for (let i = 0; i < length!; i++) claimed.push(first! + i);
      }
      at += count;
    }
    assertEquals(claimed, [...pages]);
    assertEquals(dirty.count(), 0);
  }
});

Deno.test("claimUnits() claims whole units, or leaves them to who has their first page", () => {
  const dirty = dirtyBitmap(Array.from({ length: 64 }, (_, i) => i));
  const into = new Int32Array(128);
  const claimed = (unit: number, first: number, count: number) =>
    Array.from(
      { length: claimUnits(dirty, unit, first, count, into) },
      (_, i) => [into[2 * i], into[2 * i + 1]],
    );
  // Somebody else is in the middle of claiming the unit from 8 on.
  dirty.delete(8);
  assertEquals(claimed(4, 0, 24), [[0, 8], [12, 12]]);
  assertEquals([8, 9, 10, 11, 12, 23, 24].map((page) => dirty.has(page)), [
    ...[false, true, true, true],
    ...[false, false, true],
  ]);
  assertEquals(claimed(4, 0, 24), []);
  assertEquals(claimed(1, 24, 40), [[24, 40]]);
});

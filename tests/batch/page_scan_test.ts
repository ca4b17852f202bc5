import { assert, assertEquals } from "@std/assert";
import { PageScan } from "../../src/batch/page_scan.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { BATCH_RUNS_MAX, JobKind, JobRing, Progress } from "../../src/threads/job_ring.ts";

function setUp(dirty: Readonly<Record<string, readonly number[]>>, long: readonly number[] = []) {
  const ram = GuestRam.create([
    { name: "first", length: 1000 * 4096 },
    { name: "empty", length: 0 },
    { name: "last", length: 70 * 4096 },
    ...long.length > 0 ? [{ name: "long", length: 30_000 * 4096 }] : [],
  ]);
  for (const page of long) ram.block("long")!.dirty.add(page);
  for (const [name, pages] of Object.entries(dirty)) {
    for (const page of pages) ram.block(name)!.dirty.add(page);
  }
  const ring = JobRing.create(16, new Progress());
  const scan = new PageScan(ram);
  /** Pushes a batch, and what is in it: block, then pairs of first page and count. */
  const push = (maxPages: number): (number | number[])[] => {
    const count = scan.pushBatch(ring, maxPages);
    if (count === 0) {
      assertEquals(ring.pending, 0, "an empty batch was pushed");
      return [];
    }
    assertEquals(ring.kind, JobKind.BATCH);
    const runs = Array.from({ length: ring.runs }, (_, i) => [ring.runFirst(i), ring.runCount(i)]);
    const { block } = ring;
    const { dirty } = ram.blocks[block]!;
    const dirtyPages = runs.flatMap(([first, pages]) => range(first!, pages!))
      .filter((page) => dirty.has(page));
    assertEquals(dirtyPages.length, count);
    assert(runs.every(([first, pages]) => dirty.has(first!) && dirty.has(first! + pages! - 1)));
    ring.pop();
    return [block, ...runs];
  };
  return { ram, scan, push };
}

const range = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);

Deno.test("PageScan hands over runs of dirty pages, block after block, and says when the round ends", () => {
  const { scan, push } = setUp({ first: [...range(5, 3), 140, 999], last: [0, 69] });
  assertEquals(push(100), [0, [5, 3], [140, 1], [999, 1]]);
  assertEquals(push(100), [2, [0, 1], [69, 1]]);
  assertEquals(push(100), []);
  assertEquals(scan.position, { block: 3, page: 0 });
  scan.restart();
  assertEquals(push(100).length, 4, "nobody has claimed them");
});

Deno.test("PageScan hands over no more than it is allowed, and goes on there", () => {
  const { push, scan } = setUp({ first: range(10, 25) });
  assertEquals(push(10), [0, [10, 10]]);
  assertEquals(scan.position, { block: 0, page: 20 });
  assertEquals(push(10), [0, [20, 10]]);
  assertEquals(push(10), [0, [30, 5]]);
  assertEquals(push(10), []);
});

Deno.test("PageScan hands dirty pages over with the clean ones between them", () => {
  const { push } = setUp({ first: [...range(0, 300).map((i) => 1 + 2 * i), 700, 730, 800] });
  // No run is longer than 512 pages, and no batch has more than 512 dirty ones.
  assertEquals(push(512), [0, [1, 511], [513, 87], [700, 31], [800, 1]]);
  assertEquals(push(512), []);
});

Deno.test("PageScan stops inside of such a run where it is allowed no more", () => {
  const { push, scan } = setUp({ first: range(0, 40).map((i) => 3 * i) });
  assertEquals(push(15), [0, [0, 43]]);
  assertEquals(scan.position, { block: 0, page: 43 });
  assertEquals(push(1), [0, [45, 1]]);
  assertEquals(push(100), [0, [48, 70]]);
});

Deno.test("PageScan puts no more runs into a batch than it has room for", () => {
  const { push } = setUp({}, range(0, 300).map((i) => 100 * i));
  const sizes = [push(512), push(512), push(512)].map((batch) => batch.length - 1);
  assertEquals(sizes, [BATCH_RUNS_MAX, BATCH_RUNS_MAX, 300 - 2 * BATCH_RUNS_MAX]);
  assertEquals(push(512), []);
});

Deno.test("PageScan.jumpTo() goes on at a page, of any block", () => {
  const { scan, push } = setUp({ first: [1, 500], last: [3] });
  scan.jumpTo(0, 400);
  assertEquals(push(10), [0, [500, 1]]);
  scan.jumpTo(2, 0);
  assertEquals(push(10), [2, [3, 1]]);
  scan.jumpTo(0, 0);
  assertEquals(push(1), [0, [1, 1]]);
});

Deno.test("PageScan does not hand over what was claimed meanwhile", () => {
  const { ram, push } = setUp({ first: range(0, 10) });
  push(4);
  ram.blocks[0]!.dirty.fill(4, 4, false);
  assertEquals(push(10), [0, [8, 2]]);
});

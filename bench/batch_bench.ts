/**
 * From a dirty bitmap to batches of runs: 1 GiB of pages (262144) an iteration, handed over and claimed,
 * beside a loop that asks for each page's bit.
 *
 * @module
 */
import { claimPages } from "../src/batch/claim.ts";
import { PageScan } from "../src/batch/page_scan.ts";
import { GuestRam } from "../src/machine/guest_ram.ts";
import { BATCH_PAGES_MAX, JobRing, Progress } from "../src/threads/job_ring.ts";

const ram = GuestRam.create([{ name: "ram", length: 1024 ** 3 }]);
const { dirty, pageCount } = ram.blocks[0]!;
const ring = JobRing.create(1, new Progress());
const claimed = new Int32Array(2 * BATCH_PAGES_MAX);

/** How the dirty pages lie: so many in a row, then so many clean ones. */
const PATTERNS = {
  "all dirty": [pageCount, 0],
  "runs of 8": [8, 8],
  "every other page": [1, 1],
  "one page in 4096": [1, 4095],
} as const;

for (const [pattern, [count, gap]] of Object.entries(PATTERNS)) {
  let expected = 0;
  const fill = () => {
    expected = 0;
    for (let page = 0; page < pageCount; page += count + gap) {
      const pages = Math.min(count, pageCount - page);
      dirty.fill(page, pages, true);
      expected += pages;
    }
  };
  const check = (pages: number) => {
    if (pages !== expected) throw new Error(`${pages} pages, not ${expected}`);
  };
  const group = `bitmap to runs, 1 GiB: ${pattern}`;
  Deno.bench({
    ...{ name: "a bit at a time", group, baseline: true, n: 10, warmup: 2 },
    fn(bench) {
      fill();
      bench.start();
      let pages = 0;
      for (let page = 0; page < pageCount; page++) {
        if (dirty.has(page) && dirty.delete(page)) pages++;
      }
      check(pages);
      bench.end();
    },
  });
  Deno.bench({
    ...{ name: "PageScan and claimPages", group, n: 10, warmup: 2 },
    fn(bench) {
      fill();
      bench.start();
      const scan = new PageScan(ram);
      let pages = 0;
      while (scan.pushBatch(ring, BATCH_PAGES_MAX) > 0) {
        for (let run = 0; run < ring.runs; run++) {
          const runs = claimPages(dirty, ring.runFirst(run), ring.runCount(run), claimed);
          for (let i = 0; i < runs; i++) pages += claimed[2 * i + 1]!;
        }
        ring.pop();
      }
      check(pages);
      bench.end();
    },
  });
}

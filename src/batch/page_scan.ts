/**
 * The order in which dirty pages are sent: blocks in the order of the list, pages in ascending order, and
 * again from the start. A requested page makes the scan go on behind it (QEMU `migration/ram.c`,
 * `find_dirty_block` and `get_queued_page`).
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import { BATCH_RUNS_MAX, type JobRing } from "../threads/job_ring.ts";

/** Where a scan is. */
export interface ScanPosition {
  /** The block's index; that behind the last one at the end. */
  readonly block: number;
  readonly page: number;
}

/** A position in RAM that moves over dirty pages. */
export class PageScan {
  #block = 0;
  #page = 0;

  /** @param ram Whose dirty bitmaps are walked; the bits are cleared by whoever sends the pages. */
  constructor(private readonly ram: GuestRam) {}

  /** Begins a round. */
  restart(): void {
    this.#block = 0;
    this.#page = 0;
  }

  /** Where it goes on. */
  get position(): ScanPosition {
    return { block: this.#block, page: this.#page };
  }

  /** Goes on at a page. */
  jumpTo(block: number, page: number): void {
    this.#block = block;
    this.#page = page;
  }

  /**
   * Hands the next dirty pages over as one batch.
   * @param ring Where to; it must have room.
   * @param maxPages How many pages at most.
   * @returns How many pages it was; 0 at the end of the round.
   */
  pushBatch(ring: JobRing, maxPages: number): number {
    for (; this.#block < this.ram.blocks.length; this.#block++, this.#page = 0) {
      const { dirty, pageCount, index } = this.ram.blocks[this.#block]!;
      let first = dirty.next(this.#page);
      if (first === pageCount) continue;
      let handed = 0;
      ring.beginBatch(index);
      for (let runs = 0; runs < BATCH_RUNS_MAX && handed < maxPages && first < pageCount; runs++) {
        const end = Math.min(first + maxPages - handed, pageCount);
        const count = dirty.next(first, false, end) - first;
        ring.addRun(first, count);
        handed += count;
        this.#page = first + count;
        first = dirty.next(this.#page);
      }
      ring.publishBatch();
      return handed;
    }
    return 0;
  }
}

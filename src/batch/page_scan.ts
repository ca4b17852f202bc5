/**
 * The order in which dirty pages are sent: blocks in the order of the list, pages in ascending order, and
 * again from the start. A requested page makes the scan go on behind it (QEMU `migration/ram.c`,
 * `find_dirty_block` and `get_queued_page`).
 *
 * Dirty pages with few clean ones between them are handed over as one run: who sends them looks at each
 * page's bit anyway, and where every other page is dirty a run for each would be most of the work.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import { countBits, type PageBitmap } from "../machine/page_bitmap.ts";
import { BATCH_PAGES_MAX, BATCH_RUNS_MAX, type JobRing } from "../threads/job_ring.ts";

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
        handed += this.#addRun(ring, dirty, first, maxPages - handed);
        first = dirty.next(this.#page);
      }
      ring.publishBatch();
      return handed;
    }
    return 0;
  }

  /**
   * Adds the run that begins at a dirty page and ends before 32 clean ones or more, and goes on behind it.
   * @param maxPages How many dirty pages it may have.
   * @returns How many it has.
   */
  #addRun(ring: JobRing, dirty: PageBitmap, first: number, maxPages: number): number {
    const { words, pageCount } = dirty;
    const limit = Math.min(first + BATCH_PAGES_MAX, pageCount);
    let pages = 0;
    let end = first;
    for (let base = first & ~31; base < limit && pages < maxPages; base += 32) {
      let word = Atomics.load(words, base >>> 5);
      if (base < first) word &= -1 << (first & 31);
      if (limit - base < 32) word &= (1 << (limit - base)) - 1;
      if (word === 0) break;
      let count = countBits(word);
      for (; pages + count > maxPages; count--) word ^= 1 << (31 - Math.clz32(word));
      pages += count;
      end = base + 32 - Math.clz32(word);
    }
    ring.addRun(first, end - first, pages);
    this.#page = end;
    return pages;
  }
}

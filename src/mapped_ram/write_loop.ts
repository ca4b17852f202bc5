/**
 * What a thread does that writes pages to their places in a mapped-ram file: it takes batches of page
 * numbers from its ring, claims the pages, and writes those with content from where they are. A page of zeros
 * is not written; the bitmap says that it is none of the file's, whatever its place has from before.
 *
 * @module
 */
import { claimPages } from "../batch/claim.ts";
import type { DigestTableLayout } from "../dirty/digest_table.ts";
import { GuestRam, type GuestRamLayout } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { BATCH_PAGES_MAX, JobRing } from "../threads/job_ring.ts";
import type { JobThreadStart } from "../threads/job_threads.ts";
import type { FileSpec } from "../transport/channel.ts";
import type { FileChannel } from "../transport/file_channel.ts";
import { takeBatches } from "./batch_loop.ts";
import { MappedPages, type MappedPagesLayout } from "./mapped_pages.ts";
import { CopiedPages, type PageContent, PagesInPlace, type TakeBytes } from "./page_content.ts";

/** What the worker is started with. */
export interface MappedWriteStart extends JobThreadStart {
  readonly file: FileSpec;
  readonly ram: GuestRamLayout;
  readonly pages: MappedPagesLayout;
  /** Leave pages of zeros out (`zero-page-detection` other than `none`). */
  readonly detectZero: boolean;
  /** Where the hash log wants the digests of what is written. */
  readonly digests?: DigestTableLayout;
}

/** The worker's side. */
export class WriteLoop {
  readonly #ram: GuestRam;
  readonly #ring: JobRing;
  readonly #counters: ChannelCounters;
  readonly #pages: MappedPages;
  readonly #content: PageContent;
  readonly #claimed = new Int32Array(2 * BATCH_PAGES_MAX);
  /** Where in the file the pages at hand go. */
  #place = 0;
  readonly #write: TakeBytes = (bytes, at, length, behind) => {
    this.file.writeNow(bytes, at, length, this.#place + behind);
    this.#counters.add("packets", 1);
  };

  /** @param file The file; it stays open. */
  constructor(private readonly file: FileChannel, start: MappedWriteStart) {
    this.#ram = new GuestRam(start.ram);
    this.#ring = new JobRing(start.ring);
    this.#counters = new ChannelCounters(start.counters);
    this.#pages = new MappedPages(start.pages);
    this.#content = start.digests
      ? new CopiedPages(this.#ram, start.detectZero, start.digests)
      : new PagesInPlace(this.#ram, start.detectZero);
  }

  /**
   * Runs until the END job or until the ring is stopped; it blocks the thread.
   * @throws {TransportError} If the file cannot be written.
   */
  run(): void {
    takeBatches(this.#ring, this.#counters, () => this.#writeBatch());
  }

  #writeBatch(): void {
    const ring = this.#ring;
    const block = this.#ram.blocks[ring.block]!;
    for (let run = 0; run < ring.runs; run++) {
      const runs = claimPages(block.dirty, ring.runFirst(run), ring.runCount(run), this.#claimed);
      for (let i = 0; i < runs; i++) {
        this.#writeRun(block, this.#claimed[2 * i]!, this.#claimed[2 * i + 1]!);
      }
    }
  }

  #writeRun(block: RamBlock, first: number, count: number): void {
    const bitmap = this.#pages.bitmap(block.index);
    let from = first;
    let zeros = 0;
    for (let page = first; page < first + count; page++) {
      if (!this.#content.isZero(block, page, first)) continue;
      this.#writePages(block, from, page - from, first);
      from = page + 1;
      bitmap.delete(page);
      zeros++;
    }
    this.#counters.add("zeroPages", zeros);
    this.#writePages(block, from, first + count - from, first);
  }

  #writePages(block: RamBlock, page: number, count: number, first: number): void {
    if (count === 0) return;
    const { pageSize } = this.#ram;
    this.#place = this.#pages.offset(block.index, page, pageSize);
    const before = performance.now();
    this.#content.give(block, page, count, first, this.#write);
    this.#counters.add("waitMs", performance.now() - before);
    this.#pages.bitmap(block.index).fill(page, count, true);
    this.#counters.add("bytes", count * pageSize);
    this.#counters.add("normalPages", count);
  }
}

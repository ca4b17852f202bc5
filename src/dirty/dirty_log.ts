/**
 * Who wrote which page: what every maker of a dirty log promises.
 *
 * The bits it sets are cleared by whoever sends the pages. All of them rely on the same order: *clear
 * the bit, then read the page*. A write that the read missed is then noted by a later `sync()`.
 * A guest that is stopped, and one more `sync()` after that, make the bitmaps final.
 *
 * @module
 */
import type { RamBlock } from "../machine/ram_block.ts";

/** How a log learns of writes: from the kernel, from the guest, or by comparing digests. */
export type DirtyLogKind = "kernel" | "barrier" | "hash";

/** Notes which pages the guest writes. */
export interface DirtyLog {
  readonly kind: DirtyLogKind;

  /**
   * Begins. Every write that is made after this has resolved shows in a later {@linkcode sync};
   * what was written earlier does not have to. It also makes the blocks' `untouched` bitmaps true
   * (`untouched.ts`), which nobody keeps while no log runs.
   * @throws {StateError} If it runs already, or the host refuses.
   */
  start(): Promise<void>;

  /**
   * Sets the bits of all pages that were written since the last time in their blocks' `dirty` bitmaps,
   * and clears them in `untouched`. One at a time.
   * @returns How many bits were not set before: pages more to send.
   * @throws {StateError} If it does not run.
   */
  sync(): Promise<number>;

  /** Ends and leaves nothing behind; no effect if it does not run. It can be started again. */
  stop(): Promise<void>;
}

/**
 * Sets the `dirty` bits of pages that were written.
 * @param first The first page.
 * @param end The page after the last one, at most the block's `pageCount`.
 * @returns How many of the bits were clear.
 */
export function markDirty(block: RamBlock, first: number, end: number): number {
  let fresh = 0;
  for (let page = first; page < end;) {
    const bit = page & 31;
    const bits = Math.min(32 - bit, end - page);
    const mask = bits === 32 ? -1 : ((1 << bits) - 1) << bit;
    fresh += markDirtyWord(block, page >>> 5, mask);
    page += bits;
  }
  return fresh;
}

/**
 * Sets the `dirty` bits of one word of the bitmap.
 * @returns How many of the bits were clear.
 */
export function markDirtyWord(block: RamBlock, word: number, mask: number): number {
  // First, so that nobody who finds the page dirty can still take it for one of zeros.
  const untouched = block.untouched.words;
  if ((Atomics.load(untouched, word) & mask) !== 0) Atomics.and(untouched, word, ~mask);
  return bitCount(mask & ~Atomics.or(block.dirty.words, word, mask));
}

function bitCount(word: number): number {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

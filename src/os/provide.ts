/**
 * Providing memory ahead of its use: what the kernel otherwise does page by page, at the moment each is
 * touched, and what takes longer than copying data to it.
 *
 * @module
 */
import { adviseHugePages, populate } from "./madvise.ts";

/** How much is provided between two looks at the stop word, in bytes: a millisecond's work or so. */
const STEP = 4 * 1024 ** 2;

/** Memory to be provided. */
export interface ProvideRequest {
  /** Addresses: first byte, and the byte after the last. */
  readonly ranges: readonly { readonly start: number; readonly end: number }[];
  /** One word: not 0 once it is enough. */
  readonly stop: SharedArrayBuffer;
}

/** Provides all of the ranges, or as much as there is time for. */
export function provide(request: ProvideRequest): void {
  const stop = new Int32Array(request.stop);
  for (const { start, end } of request.ranges) adviseHugePages(start, end - start);
  for (const { start, end } of request.ranges) {
    for (let at = start; at < end; at += STEP) {
      if (Atomics.load(stop, 0) !== 0) return;
      // Without success the pages are provided when they are touched, as ever.
      if (populate(at, Math.min(STEP, end - at)) < 0) return;
    }
  }
}

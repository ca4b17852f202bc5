/**
 * Which pages the measuring guests touch, and what is made of the times: the same for Ferry's and QEMU's.
 *
 * @module
 */

/** The page, in bytes. */
export const PAGE = 4096;
/** The next page is the last one times `multiplier` plus `increment`: each comes once before one comes again. */
export const TOUCH_ORDER = { multiplier: 1664525, increment: 1013904223 } as const;
/** A touch that took no longer has not waited for a page, in microseconds. */
const FAULT_MIN = 10;

/** What a guest does. */
export interface TouchPlan {
  /** The size of its range in pages, a power of 2. */
  readonly pages: number;
  /** How many of them it touches. */
  readonly touches: number;
}

/** One measured postcopy; times in microseconds, if nothing else is said. */
export interface Measured {
  /** How many touches waited for their page. */
  readonly faults: number;
  readonly p50: number;
  readonly p99: number;
  /** What the destination says in `query-migrate`, in milliseconds. */
  readonly blocktime: number;
  /** The same, of the one vCPU. */
  readonly vcpuBlocktime: number;
  /** From the first touch to the last, in milliseconds. */
  readonly touching: number;
}

/** What a guest's times say. @param times Of each touch, in microseconds. */
export function summarize(
  times: readonly number[],
): Pick<Measured, "faults" | "p50" | "p99" | "touching"> {
  const faults = times.filter((time) => time > FAULT_MIN).sort((a, b) => a - b);
  const share = (of: number) =>
    faults[Math.min(faults.length - 1, Math.floor(of * faults.length))] ?? NaN;
  const touching = times.reduce((sum, time) => sum + time, 0) / 1000;
  return { faults: faults.length, p50: share(0.5), p99: share(0.99), touching };
}

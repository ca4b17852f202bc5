/**
 * `max-bandwidth`: a budget for each slice of 100 ms, as QEMU has it (wire-format §10.4; QEMU
 * `migration/migration-stats.c`, `migration_rate_exceeded`).
 *
 * @module
 */

/** How long one budget lasts, in milliseconds. */
const SLICE_MS = 100;

/** The most slices of which the budgets can be used up beforehand. */
const DEBT_SLICES = 10;

/** Says how much may still be sent now. */
export class RateLimit {
  #sliceStart: number;
  #sentAtStart = 0;

  /** @param now The present time, in milliseconds. */
  constructor(now: number) {
    this.#sliceStart = now;
  }

  /**
   * What may be sent in this slice. Who sends in pieces may exceed it by a part of the last one: the next
   * slices have less then, and a limit below a page in a slice is still kept.
   * @param bytesPerSecond The limit; 0 is none. It may change at any time.
   * @param now The present time, in milliseconds.
   * @param sent How much was sent since the migration began, in bytes.
   * @returns Bytes; none are left at 0 and below; `Infinity` without a limit.
   */
  allowance(bytesPerSecond: number, now: number, sent: number): number {
    if (bytesPerSecond === 0) {
      this.#sliceStart = now;
      this.#sentAtStart = sent;
      return Infinity;
    }
    const budget = bytesPerSecond * SLICE_MS / 1000;
    const slices = Math.floor((now - this.#sliceStart) / SLICE_MS);
    if (slices > 0) {
      this.#sliceStart += slices * SLICE_MS;
      // What was not used is not saved up, and a debt is not carried for long: the limit may just have come.
      const used = sent - this.#sentAtStart;
      this.#sentAtStart = sent -
        Math.min(Math.max(0, used - slices * budget), DEBT_SLICES * budget);
    }
    return budget - (sent - this.#sentAtStart);
  }

  /**
   * How much more than allowed may be sent by mistake: the slices that follow make up for it.
   * @param bytesPerSecond The limit.
   */
  tolerance(bytesPerSecond: number): number {
    return DEBT_SLICES / 2 * bytesPerSecond * SLICE_MS / 1000;
  }

  /** How long until the next slice begins, in whole milliseconds, which timers round down to. */
  untilNextSlice(now: number): number {
    return Math.max(0, Math.ceil(this.#sliceStart + SLICE_MS - now));
  }
}

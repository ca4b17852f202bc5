/**
 * `max-bandwidth`: a budget for each slice of 100 ms, as QEMU has it (wire-format §10.4; QEMU
 * `migration/migration-stats.c`, `migration_rate_exceeded`).
 *
 * @module
 */

/** How long one budget lasts, in milliseconds. */
const SLICE_MS = 100;

/** Says how much may still be sent now. */
export class RateLimit {
  #sliceStart: number;
  #sentAtStart = 0;

  /** @param now The present time, in milliseconds. */
  constructor(now: number) {
    this.#sliceStart = now;
  }

  /**
   * What may be sent in this slice.
   * @param bytesPerSecond The limit; 0 is none. It may change at any time.
   * @param now The present time, in milliseconds.
   * @param sent How much was sent since the migration began, in bytes.
   * @returns Bytes, at least 0, `Infinity` without a limit.
   */
  allowance(bytesPerSecond: number, now: number, sent: number): number {
    if (bytesPerSecond === 0) return Infinity;
    if (now - this.#sliceStart >= SLICE_MS) {
      this.#sliceStart = now;
      this.#sentAtStart = sent;
    }
    const budget = bytesPerSecond * SLICE_MS / 1000;
    return Math.max(0, budget - (sent - this.#sentAtStart));
  }

  /** How long until the next slice begins, in milliseconds. */
  untilNextSlice(now: number): number {
    return Math.max(0, this.#sliceStart + SLICE_MS - now);
  }
}

/**
 * What a guest does for the machine while it runs: it marks pages it has written and asks for pages it
 * is about to use. Both are off unless the machine needs them, and cost a guest a branch then.
 *
 * @module
 */
import type { RamBlock } from "./ram_block.ts";

/** The checks of one vCPU. */
export class GuestChecks {
  /** Whether the dirty log wants marks; the vCPU's loop sets it between two steps. */
  marks = false;
  /** Whether pages may be missing; the vCPU's loop sets it between two steps. */
  presence = false;
  /** Waits for the pages of a range. Postcopy without userfaultfd puts its own function here. */
  waitForPages: (block: RamBlock, offset: number, length: number) => void = () => {};

  /**
   * Makes checks that are off.
   * @param pageSize The target page, in bytes.
   */
  constructor(private readonly pageSize: number) {}

  /**
   * Marks the pages of a range as written; see `GuestContext.markWritten`.
   * @throws {RangeError} If the range is not inside the block.
   */
  mark(block: RamBlock, offset: number, length: number): void {
    if (!this.marks || length === 0) return;
    const first = Math.floor(offset / this.pageSize);
    const last = Math.floor((offset + length - 1) / this.pageSize);
    block.barrier.fill(first, last - first + 1, true);
  }

  /** Waits for the pages of a range; see `GuestContext.ensurePresent`. */
  ensure(block: RamBlock, offset: number, length: number): void {
    if (this.presence) this.waitForPages(block, offset, length);
  }
}

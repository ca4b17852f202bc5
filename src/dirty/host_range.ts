/**
 * Blocks as the kernel sees them: ranges of addresses, and what pages they are.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { addressOf, hostPageSize } from "../os/host_memory.ts";

/** A segment of a block in this process's address space. */
export interface HostRange {
  readonly block: RamBlock;
  /** Where the segment starts in the block, in bytes. */
  readonly offset: number;
  /** The address of its first byte; at the start of a page of the host. */
  readonly start: number;
  /**
   * The address after its last byte, rounded up to the host's page: blocks lie so far apart
   * (`machine/guest_ram.ts`) that nothing else is on that page.
   */
  readonly end: number;
}

/** All of a RAM's segments, or `undefined` without FFI. */
export function hostRanges(ram: GuestRam): HostRange[] | undefined {
  const hostPage = hostPageSize();
  const ranges: HostRange[] = [];
  for (const block of ram.blocks) {
    for (const { memory, base, offset, length } of block.segments) {
      if (length === 0) continue;
      const address = addressOf(memory);
      if (address === undefined) return undefined;
      const start = address + base;
      ranges.push({ block, offset, start, end: start + Math.ceil(length / hostPage) * hostPage });
    }
  }
  return ranges;
}

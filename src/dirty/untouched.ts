/**
 * Pages that were never written: they read as zeros, so they are neither read (which would make the
 * kernel provide them) nor sent with content.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { Pagemap } from "../os/pagemap.ts";
import { probeHost } from "../os/probe.ts";
import { type HostRange, hostRanges } from "./host_range.ts";

/**
 * Asks the kernel which pages were never written and sets exactly their bits in the blocks' `untouched`
 * bitmaps.
 *
 * Every dirty log calls it when it has begun to note writes, not before. A page that is written before
 * the kernel is asked has no bit here; one that is written later gets its bit in `dirty`, and loses that
 * here, at the next `sync()`. The other way round, a write between the answer and the log's beginning
 * would be in neither.
 *
 * @returns Whether the kernel answered. If not (no FFI, no PAGEMAP_SCAN), no page counts as untouched.
 */
export function markUntouched(ram: GuestRam): boolean {
  for (const block of ram.blocks) block.untouched.fill(0, block.pageCount, false);
  // What the kernel claims is believed only if it was right about a page of which we know.
  if (probeHost().pageContent !== undefined) return false;
  const ranges = hostRanges(ram);
  const pagemap = Pagemap.open();
  if (!ranges || typeof pagemap === "number") return false;
  try {
    return ranges.every((range) => markRange(pagemap, range, ram.pageSize));
  } finally {
    pagemap.close();
  }
}

/** Sets the bits of the pages between those with content. */
function markRange(pagemap: Pagemap, range: HostRange, pageSize: number): boolean {
  const { block, start, end, offset } = range;
  /** The first byte in the block of which no content is known. */
  let free = offset;
  for (let at = start; at < end; at = pagemap.resumeAt) {
    const count = pagemap.find("content", at, end);
    if (count < 0) return false;
    for (let i = 0; i < count; i++) {
      markBetween(block, free, offset + pagemap.rangeStart(i) - start, pageSize);
      free = Math.max(free, offset + pagemap.rangeEnd(i) - start);
    }
  }
  const last = Math.min(offset + end - start, block.length);
  markBetween(block, free, last, pageSize);
  return true;
}

/** Sets the bits of the pages that lie in a range completely. */
function markBetween(block: RamBlock, from: number, to: number, pageSize: number): void {
  const first = Math.ceil(from / pageSize);
  const end = Math.floor(to / pageSize);
  if (end > first) block.untouched.fill(first, end - first, true);
}

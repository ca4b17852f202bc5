/**
 * What a built-in guest does on one segment of RAM: an instance of its WebAssembly module over the
 * pages that are this vCPU's share of the segment.
 *
 * @module
 */
import type { GuestChecks } from "../guest_checks.ts";
import type { GuestRam } from "../guest_ram.ts";
import type { RamBlock, RamSegment } from "../ram_block.ts";

/** What the modules of built-in guests export. Pages are counted from the share's first. */
export interface PartExports extends WebAssembly.Exports {
  /** Device state: the next place in the sweep, and how many sweeps are complete. */
  readonly cursor: WebAssembly.Global;
  readonly sweep: WebAssembly.Global;
  /** Works on up to so many pages. @returns How many it were. */
  step(most: number): number;
  /** What a page must be by now: how often it has been written. */
  expected(page: number): number;
  /** Compares pages with what they must be. @returns The first wrong one, or `from + pages`. */
  check(from: number, pages: number): number;
}

/** A share of a segment. */
export interface Share {
  readonly block: RamBlock;
  readonly segment: RamSegment;
  /** The number of its first page in the block. */
  readonly firstPage: number;
  readonly pages: number;
  /** The address of its first page in the segment's memory. */
  readonly address: number;
}

/** A share with the instance that works on it. */
export interface Part<Exports extends PartExports = PartExports> extends Share {
  readonly exports: Exports;
}

/**
 * Cuts RAM into shares: each vCPU has its part of each segment.
 * @param ram The whole RAM.
 * @param vcpu Whose shares are wanted.
 * @param vcpus How many vCPUs there are.
 */
export function sharesOf(ram: GuestRam, vcpu: number, vcpus: number): Share[] {
  const shares: Share[] = [];
  for (const block of ram.blocks) {
    for (const segment of block.segments) {
      const all = segment.length / ram.pageSize;
      const from = Math.floor(all * vcpu / vcpus);
      const pages = Math.floor(all * (vcpu + 1) / vcpus) - from;
      if (pages === 0) continue;
      shares.push({
        block,
        segment,
        firstPage: segment.offset / ram.pageSize + from,
        pages,
        address: segment.base + from * ram.pageSize,
      });
    }
  }
  return shares;
}

/**
 * What a module can import as `ferry`, for code that addresses a segment's memory.
 * @param block The block the segment is of.
 * @param segment The segment.
 * @param checks Where marks and presence go.
 */
export function checkImports(block: RamBlock, segment: RamSegment, checks: GuestChecks) {
  const toBlock = segment.offset - segment.base;
  return {
    mark: (address: number, length: number) =>
      checks.mark(block, (address >>> 0) + toBlock, length >>> 0),
    ensure: (address: number, length: number) =>
      checks.ensure(block, (address >>> 0) + toBlock, length >>> 0),
  };
}

/** 32 bits for a block's name (FNV-1a): what tells its pages from those of another block. */
export function blockTag(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

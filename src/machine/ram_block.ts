/**
 * A named piece of guest RAM. Its bytes lie in shared WebAssembly memory: page aligned, so that the
 * kernel can watch them, and usable by a WebAssembly guest and by SIMD kernels in place. A memory ends
 * at 4 GiB, so a larger block is several segments.
 *
 * @module
 */
import { PageBitmap, type PageBitmapLayout } from "./page_bitmap.ts";

/** The most a WebAssembly memory with 32-bit addresses holds, in bytes. */
export const MEMORY_MAX = 4 * 1024 ** 3;
/** WebAssembly's own page, in bytes. */
export const WASM_PAGE = 65536;

/** A part of a block that lies in one memory. */
export interface RamSegment {
  /** The memory that holds it. */
  readonly memory: WebAssembly.Memory;
  /** Where the segment starts in the memory, in bytes; a multiple of the target page. */
  readonly base: number;
  /** Where the segment starts in the block, in bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly length: number;
}

/** The bitmaps every block has; {@linkcode RamBlock} says what each is for. */
export const BITMAP_KINDS = ["dirty", "barrier", "untouched", "received", "requested"] as const;
/** A bitmap's name. */
export type BitmapKind = typeof BITMAP_KINDS[number];

/** Everything about a block, as it is posted to workers. */
export interface RamBlockLayout {
  /** Its place in the RAM's list: how threads refer to it. */
  readonly index: number;
  /** The name both sides know it by, such as `pc.ram`. */
  readonly name: string;
  /** In bytes; a multiple of the target page. */
  readonly length: number;
  /** The page of the host's memory behind it, in bytes: the unit of postcopy. */
  readonly hostPageSize: number;
  /** Its parts, in order. */
  readonly segments: readonly RamSegment[];
  /** Where its bitmaps lie. */
  readonly bitmaps: Readonly<Record<BitmapKind, PageBitmapLayout>>;
}

/** How many target pages a page of the host's has: postcopy discards, asks for and places so many at once. */
export function hostPageUnit(block: RamBlock, pageSize: number): number {
  return Math.max(1, block.hostPageSize / pageSize);
}

/** A block as any thread sees it: its layout with the bitmaps opened. */
export class RamBlock {
  /** Its place in the RAM's list. */
  readonly index: number;
  /** The name both sides know it by. */
  readonly name: string;
  /** In bytes. */
  readonly length: number;
  /** The page of the host's memory behind it, in bytes. */
  readonly hostPageSize: number;
  /** Its parts, in order. */
  readonly segments: readonly RamSegment[];
  /** How many target pages it has. */
  readonly pageCount: number;
  /** Source: pages that must be sent (again). */
  readonly dirty: PageBitmap;
  /** Source: pages the guest marked as written, where it marks them (`dirty/barrier_log.ts`). */
  readonly barrier: PageBitmap;
  /** Pages that were never written since the memory was made: they read as zeros. Who writes clears it. */
  readonly untouched: PageBitmap;
  /** Destination: pages whose right content has arrived. */
  readonly received: PageBitmap;
  /** Destination: pages that were asked for and have not arrived. */
  readonly requested: PageBitmap;

  /** Opens a block. @param layout The block's description; it is kept as `layout`. */
  constructor(readonly layout: RamBlockLayout) {
    this.index = layout.index;
    this.name = layout.name;
    this.length = layout.length;
    this.hostPageSize = layout.hostPageSize;
    this.segments = layout.segments;
    this.pageCount = layout.bitmaps.dirty.pageCount;
    this.dirty = new PageBitmap(layout.bitmaps.dirty);
    this.barrier = new PageBitmap(layout.bitmaps.barrier);
    this.untouched = new PageBitmap(layout.bitmaps.untouched);
    this.received = new PageBitmap(layout.bitmaps.received);
    this.requested = new PageBitmap(layout.bitmaps.requested);
  }

  /**
   * The segment that holds an offset.
   * @param offset In bytes from the block's start.
   * @throws {RangeError} If it is outside the block.
   */
  segmentAt(offset: number): RamSegment {
    for (const segment of this.segments) {
      if (offset >= segment.offset && offset < segment.offset + segment.length) return segment;
    }
    throw new RangeError(`Offset ${offset} is outside block ${this.name} of ${this.length} bytes`);
  }

  /**
   * A view of bytes in place.
   * @param offset In bytes from the block's start.
   * @param length In bytes; the view is shorter where a segment ends first.
   * @throws {RangeError} If the offset is outside the block.
   */
  view(offset: number, length: number): Uint8Array<ArrayBufferLike> {
    const segment = this.segmentAt(offset);
    const inside = offset - segment.offset;
    return new Uint8Array(
      segment.memory.buffer,
      segment.base + inside,
      Math.min(length, segment.length - inside),
    );
  }
}

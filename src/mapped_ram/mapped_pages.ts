/**
 * Which pages of each block are in a mapped-ram file, and where: in shared memory, so that all threads that
 * write or read the file see the same.
 *
 * @module
 */
import { PageBitmap, pageBitmapBytes, type PageBitmapLayout } from "../machine/page_bitmap.ts";
import { WASM_PAGE } from "../machine/ram_block.ts";
import { bitmapBytes } from "./block_place.ts";

/** The pages as they are posted to workers. */
export interface MappedPagesLayout {
  /** A 64-bit float for each block: where in the file its pages begin, in bytes. */
  readonly places: SharedArrayBuffer;
  /** Each block's bitmap. */
  readonly bitmaps: readonly PageBitmapLayout[];
}

/** The pages as any thread sees them. */
export class MappedPages {
  readonly #places: Float64Array<SharedArrayBuffer>;
  readonly #bitmaps: readonly PageBitmap[];

  /** @param layout What {@linkcode MappedPages.create} made, in this or another thread. */
  constructor(readonly layout: MappedPagesLayout) {
    this.#places = new Float64Array(layout.places);
    this.#bitmaps = layout.bitmaps.map((bitmap) => new PageBitmap(bitmap));
  }

  /** Makes bitmaps without a page. @param pageCounts How many pages each block has. */
  static create(pageCounts: readonly number[]): MappedPages {
    const bytes = pageCounts.reduce((sum, count) => sum + pageBitmapBytes(count), 0);
    const pages = Math.max(1, Math.ceil(bytes / WASM_PAGE));
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    let byteOffset = 0;
    const bitmaps = pageCounts.map((pageCount) => {
      const bitmap = { memory, byteOffset, pageCount };
      byteOffset += pageBitmapBytes(pageCount);
      return bitmap;
    });
    return new MappedPages({ places: new SharedArrayBuffer(8 * pageCounts.length), bitmaps });
  }

  /** Says where a block's pages begin in the file, in bytes. */
  place(block: number, pagesOffset: number): void {
    this.#places[block] = pagesOffset;
  }

  /** Where a page of a block has its place in the file, in bytes. */
  offset(block: number, page: number, pageSize: number): number {
    return this.#places[block]! + page * pageSize;
  }

  /** Which of a block's pages are in the file. All others are zeros. */
  bitmap(block: number): PageBitmap {
    return this.#bitmaps[block]!;
  }

  /** A block's bitmap as the file has it: in place, in the byte order of a little-endian host. */
  bytes(block: number): Uint8Array<ArrayBufferLike> {
    const { words, pageCount } = this.bitmap(block);
    return new Uint8Array(words.buffer, words.byteOffset, bitmapBytes(pageCount));
  }

  /** Forgets bits of pages that a block does not have, as a file may set them. */
  trim(block: number): void {
    const { words, pageCount } = this.bitmap(block);
    const last = pageCount >>> 5;
    if (last >= words.length) return;
    words[last]! &= ~(-1 << (pageCount & 31));
    words.fill(0, last + 1);
  }
}

/**
 * Where in a file each page stands, as a record or alone: what makes an image usable without loading it. In shared
 * memory, so that the threads that send pages find them by themselves.
 *
 * @module
 */
import type { FileSpec } from "../transport/channel.ts";

/** An index as it is posted to workers. */
export interface PageIndexLayout {
  /**
   * A 64-bit float for each page, block after block: twice the offset of its record from the stream's
   * start in bytes, plus one if the page is zeros; 0 if there is none.
   */
  readonly table: SharedArrayBuffer;
  /** How many pages each block has. */
  readonly pageCounts: readonly number[];
}

/** Where pages are read from that are in no memory. */
export interface PageFile {
  /** The file, and where in it the stream begins. */
  readonly file: FileSpec;
  /** What stands where the index says: records with their headers, or pages alone (mapped-ram). */
  readonly as: "records" | "pages";
  readonly index: PageIndexLayout;
}

/** The index as any thread sees it. */
export class PageIndex {
  readonly #entries: Float64Array<SharedArrayBuffer>;
  /** The first entry of each block. */
  readonly #starts: number[] = [];

  /** @param layout What {@linkcode PageIndex.create} made, in this or another thread. */
  constructor(readonly layout: PageIndexLayout) {
    this.#entries = new Float64Array(layout.table);
    let start = 0;
    for (const count of layout.pageCounts) {
      this.#starts.push(start);
      start += count;
    }
  }

  /** Makes an empty index. @param pageCounts How many pages each block has. */
  static create(pageCounts: readonly number[]): PageIndex {
    const pages = pageCounts.reduce((sum, count) => sum + count, 0);
    return new PageIndex({ table: new SharedArrayBuffer(8 * pages), pageCounts });
  }

  /** Notes a page's record; a later one takes the place of an earlier one. */
  set(block: number, page: number, offset: number, isZero: boolean): void {
    this.#entries[this.#starts[block]! + page] = 2 * offset + Number(isZero);
  }

  /** Whether there is a record of the page. */
  has(block: number, page: number): boolean {
    return this.#entries[this.#starts[block]! + page] !== 0;
  }

  /** Whether there is a record of every page. */
  get hasAllPages(): boolean {
    return !this.#entries.includes(0);
  }

  /** Whether the page is zeros, as far as its record's kind says. */
  isZero(block: number, page: number): boolean {
    return this.#entries[this.#starts[block]! + page]! % 2 === 1;
  }

  /** Where the page's record begins, in bytes from the stream's start; there must be one. */
  offset(block: number, page: number): number {
    return Math.floor(this.#entries[this.#starts[block]! + page]! / 2);
  }
}

/**
 * One bit a page, in shared memory: bit `i` of the bitmap is bit `i % 32` of word `i / 32`, which on a
 * little-endian machine is also the byte order of QEMU's RECV_BITMAP and mapped-ram bitmaps. Several
 * threads set and clear bits at the same time, so every change is atomic.
 *
 * @module
 */

/** Where a bitmap lies, as it is posted to workers. */
export interface PageBitmapLayout {
  /** The memory that holds it. */
  readonly memory: WebAssembly.Memory;
  /** In bytes from the memory's start; a multiple of 64. */
  readonly byteOffset: number;
  /** How many bits it has. */
  readonly pageCount: number;
}

/** Bytes that a bitmap of `pageCount` pages takes, rounded up to whole cache lines. */
export function pageBitmapBytes(pageCount: number): number {
  return Math.ceil(pageCount / 512) * 64;
}

/** How many bits of a word are set. */
export function countBits(word: number): number {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** A bitmap over the pages of one block. */
export class PageBitmap {
  /** How many bits it has. */
  readonly pageCount: number;
  /** In bytes from the memory's start: how kernels address this bitmap. */
  readonly byteOffset: number;
  /** The bitmap's words; those past `pageCount` stay zero. */
  readonly words: Int32Array<ArrayBufferLike>;

  /** Opens a bitmap. @param layout Where it lies. */
  constructor(readonly layout: PageBitmapLayout) {
    this.pageCount = layout.pageCount;
    this.byteOffset = layout.byteOffset;
    this.words = new Int32Array(
      layout.memory.buffer,
      layout.byteOffset,
      pageBitmapBytes(layout.pageCount) / 4,
    );
  }

  /** Whether the page's bit is set. */
  has(page: number): boolean {
    return (Atomics.load(this.words, page >>> 5) & (1 << (page & 31))) !== 0;
  }

  /** Sets the page's bit. @returns Whether it was clear before. */
  add(page: number): boolean {
    const bit = 1 << (page & 31);
    return (Atomics.or(this.words, page >>> 5, bit) & bit) === 0;
  }

  /** Clears the page's bit. @returns Whether it was set before. */
  delete(page: number): boolean {
    const bit = 1 << (page & 31);
    return (Atomics.and(this.words, page >>> 5, ~bit) & bit) !== 0;
  }

  /**
   * Sets or clears the bits of `count` pages from `first` on.
   * @throws {RangeError} If the range is not inside the bitmap.
   */
  fill(first: number, count: number, set: boolean): void {
    if (first < 0 || count < 0 || first + count > this.pageCount) {
      throw new RangeError(`Pages ${first}+${count} are outside a bitmap of ${this.pageCount}`);
    }
    let page = first;
    const end = first + count;
    while (page < end) {
      const bit = page & 31;
      const bits = Math.min(32 - bit, end - page);
      const mask = bits === 32 ? -1 : ((1 << bits) - 1) << bit;
      if (set) Atomics.or(this.words, page >>> 5, mask);
      else Atomics.and(this.words, page >>> 5, ~mask);
      page += bits;
    }
  }

  /** How many bits are set. */
  count(): number {
    let total = 0;
    for (let i = 0; i < this.words.length; i++) {
      const word = Atomics.load(this.words, i);
      if (word !== 0) total += countBits(word);
    }
    return total;
  }

  /**
   * The first page from `from` on whose bit is `set`, or `end` if there is none before it.
   * @param end How far to look. @default {pageCount}
   */
  next(from: number, set = true, end = this.pageCount): number {
    let page = from;
    while (page < end) {
      const word = Atomics.load(this.words, page >>> 5);
      const rest = ((set ? word : ~word) >>> (page & 31)) | 0;
      // imul() negates 32 bits without leaving them, whatever they are.
      if (rest !== 0) return Math.min(page + 31 - Math.clz32(rest & Math.imul(rest, -1)), end);
      page = (page | 31) + 1;
    }
    return end;
  }

  /**
   * Adds every bit of another bitmap of the same length.
   * @throws {RangeError} If the lengths differ.
   */
  merge(other: PageBitmap): void {
    if (other.pageCount !== this.pageCount) {
      throw new RangeError(`Bitmaps of ${this.pageCount} and ${other.pageCount} pages`);
    }
    for (let i = 0; i < this.words.length; i++) {
      const word = Atomics.load(other.words, i);
      if (word !== 0) Atomics.or(this.words, i, word);
    }
  }
}

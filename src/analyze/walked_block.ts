/**
 * A RAM block as the walk over a stream meets it: how often each of its pages came, and as what.
 *
 * @module
 */

/** What a page record holds. */
export type PageKind =
  /** The page's bytes. */
  | "normal"
  /** One byte that fills the page. */
  | "zero"
  /** What changed since the page came before. */
  | "xbzrle"
  /** The page's bytes as a zlib stream; QEMU up to 9.0. */
  | "compressed";

/** Where a mapped-ram file has a block. */
export interface MappedPlace {
  /** Offset in the file of the bitmap of pages that are there. */
  readonly bitmapOffset: number;
  /** Offset in the file of the block's first page. */
  readonly pagesOffset: number;
}

/** Pages whose counts are kept together; only segments that have a page take memory. */
const SEGMENT_PAGES = 1 << 16;

/** What the list of blocks says of one. */
export interface ListedBlock {
  readonly name: string;
  /** In bytes. */
  readonly length: number;
  /** The sum of the lengths of the blocks before it. */
  readonly start: number;
  /** The target page, in bytes. */
  readonly pageSize: number;
  /** Guest-physical, with the capability `x-ignore-shared`. */
  readonly address: bigint | undefined;
  /** The block's own page in bytes, where the stream says it. */
  readonly hostPageSize: number | undefined;
}

/** One block. */
export class WalkedBlock implements ListedBlock {
  readonly name: string;
  readonly length: number;
  readonly start: number;
  readonly pageSize: number;
  readonly address: bigint | undefined;
  readonly hostPageSize: number | undefined;
  /** Page records of each kind. */
  readonly records: Record<PageKind, number> = { normal: 0, zero: 0, xbzrle: 0, compressed: 0 };
  /** Pages that came at least once. */
  sent = 0;
  /** Pages that came more than once. */
  sentAgain = 0;
  /** Where it is in a mapped-ram file. */
  mapped: MappedPlace | undefined;
  readonly #segments: (Uint8Array | undefined)[] = [];

  /** @param listed What the stream's list says of it. */
  constructor(listed: ListedBlock) {
    this.name = listed.name;
    this.length = listed.length;
    this.start = listed.start;
    this.pageSize = listed.pageSize;
    this.address = listed.address;
    this.hostPageSize = listed.hostPageSize;
  }

  /** How many pages it has. */
  get pages(): number {
    return Math.ceil(this.length / this.pageSize);
  }

  /** Counts a page that came. */
  count(page: number, kind: PageKind): void {
    this.records[kind]++;
    const index = Math.floor(page / SEGMENT_PAGES);
    const segment = this.#segments[index] ??= new Uint8Array(
      Math.min(SEGMENT_PAGES, this.pages - index * SEGMENT_PAGES),
    );
    const at = page - index * SEGMENT_PAGES;
    const before = segment[at]!;
    if (before === 0) this.sent++;
    else if (before === 1) this.sentAgain++;
    if (before < 255) segment[at] = before + 1;
  }

  /** How often a page came; 255 stands for more, too. */
  timesSent(page: number): number {
    const index = Math.floor(page / SEGMENT_PAGES);
    return this.#segments[index]?.[page - index * SEGMENT_PAGES] ?? 0;
  }
}

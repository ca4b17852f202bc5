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
  /** How many pages the blocks before it have. */
  readonly firstPage: number;
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
  readonly firstPage: number;
  readonly pageSize: number;
  readonly address: bigint | undefined;
  readonly hostPageSize: number | undefined;
  /** How many pages it has. */
  readonly pages: number;
  /** Pages that came at least once. */
  sent = 0;
  /** Pages that came more than once. */
  sentAgain = 0;
  /** Where it is in a mapped-ram file. */
  mapped: MappedPlace | undefined;
  #normal = 0;
  #zero = 0;
  #xbzrle = 0;
  #compressed = 0;
  readonly #segments: (Uint8Array | undefined)[] = [];
  #segment: Uint8Array = new Uint8Array(0);
  /** The segment's first page. */
  #first = 0;

  /** @param listed What the stream's list says of it. */
  constructor(listed: ListedBlock) {
    this.name = listed.name;
    this.length = listed.length;
    this.firstPage = listed.firstPage;
    this.pageSize = listed.pageSize;
    this.address = listed.address;
    this.hostPageSize = listed.hostPageSize;
    this.pages = Math.ceil(listed.length / listed.pageSize);
  }

  /** Page records of each kind. */
  get records(): Readonly<Record<PageKind, number>> {
    return {
      ...{ normal: this.#normal, zero: this.#zero },
      ...{ xbzrle: this.#xbzrle, compressed: this.#compressed },
    };
  }

  /** Counts a page that came. */
  count(page: number, kind: PageKind): void {
    if (kind === "normal") this.#normal++;
    else if (kind === "zero") this.#zero++;
    else if (kind === "xbzrle") this.#xbzrle++;
    else this.#compressed++;
    if (page < this.#first || page >= this.#first + this.#segment.length) this.#select(page);
    const at = page - this.#first;
    const before = this.#segment[at]!;
    if (before === 0) this.sent++;
    else if (before === 1) this.sentAgain++;
    if (before < 255) this.#segment[at] = before + 1;
  }

  /** Pages come in runs: the segment of the last one is at hand. */
  #select(page: number): void {
    const index = Math.floor(page / SEGMENT_PAGES);
    this.#first = index * SEGMENT_PAGES;
    this.#segment = this.#segments[index] ??= new Uint8Array(
      Math.min(SEGMENT_PAGES, this.pages - this.#first),
    );
  }

  /** How often a page came; 255 stands for more, too. */
  timesSent(page: number): number {
    const index = Math.floor(page / SEGMENT_PAGES);
    return this.#segments[index]?.[page - index * SEGMENT_PAGES] ?? 0;
  }
}

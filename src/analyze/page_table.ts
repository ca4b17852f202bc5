/**
 * Where each page's last content is in a stream: eight bytes a page, so that RAM can be looked at in the
 * order of its addresses without holding it.
 *
 * @module
 */
import { inflateSync } from "node:zlib";
import { ConnectionLostError, StreamFormatError } from "../errors.ts";
import type { ReadableBytes } from "../transport/sync_file.ts";
import type { PageSink } from "./ram_walk.ts";
import type { PageKind, WalkedBlock } from "./walked_block.ts";
import { applyXbzrle } from "./xbzrle.ts";

/** Pages whose places are kept together; only segments that have a page take memory. */
const SEGMENT_PAGES = 1 << 16;
/** How much is read in one go, in bytes. */
const WINDOW_SIZE = 128 * 1024;
/** Places from here on down are records that build on others. */
const RECORD_BASE = -1000;

/** A record that is more than a page's bytes. */
interface EncodedRecord {
  readonly kind: "xbzrle" | "compressed";
  readonly at: number;
  readonly length: number;
  /** The page's place before. */
  readonly before: number;
}

/** Remembers pages while a stream is walked over. */
export class PageTable implements PageSink {
  readonly #segments = new Map<WalkedBlock, (Float64Array | undefined)[]>();
  readonly #records: EncodedRecord[] = [];

  page(block: WalkedBlock, page: number, kind: PageKind, at: number, length: number): void {
    const index = Math.floor(page / SEGMENT_PAGES);
    let segments = this.#segments.get(block);
    if (!segments) this.#segments.set(block, segments = []);
    const segment = segments[index] ??= new Float64Array(SEGMENT_PAGES);
    const slot = page - index * SEGMENT_PAGES;
    if (kind === "normal") segment[slot] = at;
    else if (kind === "zero") segment[slot] = -1 - at;
    else {
      // What a whole page replaces is not needed any more.
      const before = kind === "xbzrle" ? segment[slot]! : 0;
      segment[slot] = RECORD_BASE - this.#records.length;
      this.#records.push({ kind, at, length, before });
    }
  }

  /** Where a page's content is: 0 if it never came; otherwise for {@linkcode PageReader}. */
  placeOf(block: WalkedBlock, page: number): number {
    const index = Math.floor(page / SEGMENT_PAGES);
    return this.#segments.get(block)?.[index]?.[page - index * SEGMENT_PAGES] ?? 0;
  }

  /** The byte that fills the page, if a zero page is what came last. */
  fillOf(place: number): number | undefined {
    return place < 0 && place > RECORD_BASE ? -1 - place : undefined;
  }

  /** The record that the page's content is made with, if it is no page's bytes. */
  recordOf(place: number): EncodedRecord | undefined {
    return place <= RECORD_BASE ? this.#records[RECORD_BASE - place] : undefined;
  }
}

/** Reads pages that a {@linkcode PageTable} knows. */
export class PageReader {
  readonly #window = new Uint8Array(WINDOW_SIZE);
  #start = 0;
  #length = 0;

  /**
   * @param source The stream, which has a size.
   * @param table What was remembered of it.
   * @param pageSize The target page, in bytes.
   */
  constructor(
    private readonly source: ReadableBytes,
    private readonly table: PageTable,
    private readonly pageSize: number,
  ) {}

  /**
   * A page's content.
   * @param block Whose.
   * @param page Its number in the block.
   * @returns Its bytes, until the next call; `undefined` if it never came.
   * @throws {StreamFormatError} If its record is damaged.
   */
  content(block: WalkedBlock, page: number): Uint8Array | undefined {
    const place = this.table.placeOf(block, page);
    return place === 0 ? undefined : this.#at(place);
  }

  #at(place: number): Uint8Array {
    if (place > 0) return this.#bytes(place, this.pageSize);
    const fill = this.table.fillOf(place);
    if (fill !== undefined) return new Uint8Array(this.pageSize).fill(fill);
    // Oldest last: the changes are applied from there on.
    const chain: EncodedRecord[] = [];
    let base = place;
    for (let record = this.table.recordOf(base); record; record = this.table.recordOf(base)) {
      chain.push(record);
      base = record.before;
      if (record.kind === "compressed") break;
    }
    const page = base === 0 ? new Uint8Array(this.pageSize) : this.#at(base).slice();
    for (const { kind, at, length } of chain.reverse()) {
      const bytes = this.#bytes(at, length);
      if (kind === "xbzrle") applyXbzrle(bytes, page, at);
      else page.set(this.#inflated(bytes, at));
    }
    return page;
  }

  #inflated(bytes: Uint8Array, at: number): Uint8Array {
    let page: Uint8Array;
    try {
      page = inflateSync(bytes, { maxOutputLength: this.pageSize });
    } catch (cause) {
      throw new StreamFormatError("A compressed page is damaged", { place: { offset: at }, cause });
    }
    if (page.length === this.pageSize) return page;
    throw new StreamFormatError(
      `A compressed page has ${page.length} bytes, not ${this.pageSize}`,
      {
        place: { offset: at },
      },
    );
  }

  /** Bytes of the stream, until the next call. */
  #bytes(at: number, length: number): Uint8Array {
    if (at < this.#start || at + length > this.#start + this.#length) {
      this.#start = at;
      this.#length = 0;
      while (this.#length < length) {
        const into = this.#window.subarray(this.#length);
        const got = this.source.read(into, at + this.#length);
        if (got === 0) {
          throw new ConnectionLostError(`${this.source.name} became shorter meanwhile`, {
            place: { offset: at },
          });
        }
        this.#length += got;
      }
    }
    return this.#window.subarray(at - this.#start, at - this.#start + length);
  }
}

/**
 * Walks over the `ram` section's payloads (wire-format §5; QEMU `migration/ram.c`). Page bytes are passed
 * over; who wants them is told where they are.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { describeRamFlags, RamFlag } from "../ram/flags.ts";
import type { StreamInput } from "./input.ts";
import { readBlocks } from "./ram_blocks.ts";
import type { PageKind, WalkedBlock } from "./walked_block.ts";

/** Is told of every page record. */
export interface PageSink {
  /**
   * A page came.
   * @param block Whose.
   * @param page Its number in the block.
   * @param kind What the record holds.
   * @param at Offset of the record's content in the stream; for `zero` the byte that fills the page.
   * @param length The content's length in bytes.
   */
  page(block: WalkedBlock, page: number, kind: PageKind, at: number, length: number): void;
}

/** One walk of the source over its RAM. */
export interface Round {
  /** Offset in the stream of its first page record. */
  readonly offset: number;
  /** Page records. */
  pages: number;
  /** Those that are zero pages. */
  zeroPages: number;
}

/** What decides the payload's form beside itself. */
export interface RamDialect {
  /** The target page, in bytes. */
  readonly pageSize: number;
  /** The capability `x-ignore-shared`. */
  readonly ignoreShared: boolean;
  /** The capability `mapped-ram`. */
  readonly mappedRam: boolean;
}

/** Rounds that are listed; those beyond are one. */
const ROUNDS_MAX = 1000;

/** Walks over all payloads of one stream. */
export class RamWalk {
  /** The blocks, in the stream's order. */
  readonly blocks: WalkedBlock[] = [];
  /** The source's rounds, until postcopy or for ever. */
  readonly rounds: Round[] = [];
  /** How often the multifd channels were waited for. */
  multifdFlushes = 0;
  /** Whether postcopy has begun: pages come as they are asked for, not in rounds. */
  postcopy = false;
  /** Page sizes that the source announced for postcopy, as one bit each. */
  advisedPageSizes = 0n;
  #block: WalkedBlock | undefined;
  /** The last page, counted through all blocks. */
  #last = 0x3fffffff;
  #round: Round = { offset: 0, pages: 0, zeroPages: 0 };

  /**
   * @param dialect What decides the payload's form.
   * @param sink Is told of every page.
   */
  constructor(readonly dialect: RamDialect, private readonly sink: PageSink | undefined) {}

  /** After a recovery and the like, records name their block again. */
  forgetBlock(): void {
    this.#block = undefined;
  }

  /**
   * Walks over one payload, up to its end-of-section record.
   * @throws {StreamFormatError} If it is none.
   */
  load(input: StreamInput): void {
    const { pageSize } = this.dialect;
    const pageShift = Math.log2(pageSize);
    // Pages are small integers where offsets in bytes are not, which would cost memory for each record.
    const pagesAbove = 2 ** (32 - pageShift);
    for (;;) {
      if (input.end - input.at < 8) input.need(8, "a page record");
      const low = input.view.getUint32(input.at + 4);
      const flags = low & (pageSize - 1);
      const page = input.view.getUint32(input.at) * pagesAbove + (low >>> pageShift);
      const kind = flags & ~RamFlag.CONTINUE;
      if (kind === RamFlag.PAGE) this.#page(input, flags, page);
      else if (kind === RamFlag.ZERO) this.#zero(input, flags, page);
      else if (kind === RamFlag.XBZRLE) this.#xbzrle(input, flags, page);
      else if (kind === RamFlag.COMPRESS_PAGE) this.#compressed(input, flags, page);
      else if (flags === RamFlag.MEM_SIZE) {
        input.at += 8;
        readBlocks(input, page * pageSize, this, this.sink);
      } else if (flags === RamFlag.MULTIFD_FLUSH) {
        input.at += 8;
        this.multifdFlushes++;
      } else if (flags === RamFlag.EOS) {
        input.at += 8;
        return;
      } else refuse(`RAM record with ${describeRamFlags(flags)}`, input.position);
    }
  }

  #page(input: StreamInput, flags: number, page: number): void {
    const { pageSize } = this.dialect;
    const block = this.#begin(input, flags, page);
    this.#count(input, block, page, "normal");
    this.sink?.page(block, page, "normal", input.position, pageSize);
    if (input.end - input.at >= pageSize) input.at += pageSize;
    else input.skip(pageSize, "a page");
  }

  #zero(input: StreamInput, flags: number, page: number): void {
    const block = this.#begin(input, flags, page);
    this.#count(input, block, page, "zero");
    const fill = input.u8("a zero page");
    this.sink?.page(block, page, "zero", fill, 0);
  }

  #xbzrle(input: StreamInput, flags: number, page: number): void {
    const { pageSize } = this.dialect;
    const block = this.#begin(input, flags, page);
    const encoding = input.u8("an XBZRLE record");
    const length = input.be16("an XBZRLE record's length");
    if (encoding !== 1) refuse(`XBZRLE encoding ${encoding}, not 1`, input.position - 3);
    if (length > pageSize) {
      refuse(`XBZRLE record of ${length} bytes for a page of ${pageSize}`, input.position - 2);
    }
    if (block.timesSent(page) === 0) {
      refuse(`XBZRLE record for a page that never came before`, input.position - 3);
    }
    this.#count(input, block, page, "xbzrle");
    this.sink?.page(block, page, "xbzrle", input.position, length);
    input.skip(length, "an XBZRLE record");
  }

  #compressed(input: StreamInput, flags: number, page: number): void {
    const { pageSize } = this.dialect;
    const block = this.#begin(input, flags, page);
    const length = input.be32("a compressed page's length");
    if (length > 2 * pageSize) {
      refuse(`Compressed page of ${length} bytes, more than twice its size`, input.position - 4);
    }
    this.#count(input, block, page, "compressed");
    this.sink?.page(block, page, "compressed", input.position, length);
    input.skip(length, "a compressed page");
  }

  /** Consumes a page record's header and finds its block. */
  #begin(input: StreamInput, flags: number, page: number): WalkedBlock {
    input.at += 8;
    let block = this.#block;
    if (!(flags & RamFlag.CONTINUE)) block = this.#named(input);
    else if (!block) refuse("Page record that continues no block", input.position - 8);
    if (page >= block.pages) {
      refuse(
        `Page at 0x${(page * block.pageSize).toString(16)} is outside RAM block ` +
          `"${block.name}" of 0x${block.length.toString(16)} bytes`,
        input.position,
      );
    }
    return block;
  }

  #named(input: StreamInput): WalkedBlock {
    const offset = input.position;
    const name = input.countedString("a RAM block's name");
    const block = this.blocks.find((each) => each.name === name);
    if (!block) refuse(`Page of RAM block "${name}", which is not listed`, offset);
    this.#block = block;
    return block;
  }

  #count(input: StreamInput, block: WalkedBlock, page: number, kind: PageKind): void {
    block.count(page, kind);
    if (this.postcopy) return;
    const place = block.firstPage + page;
    if (place <= this.#last && this.rounds.length < ROUNDS_MAX) this.#beginRound(input);
    this.#last = place;
    this.#round.pages++;
    if (kind === "zero") this.#round.zeroPages++;
  }

  #beginRound(input: StreamInput): void {
    this.#round = { offset: input.position, pages: 0, zeroPages: 0 };
    this.rounds.push(this.#round);
  }
}

function refuse(why: string, offset: number): never {
  throw new StreamFormatError(why, { place: { offset } });
}

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
  #last = Infinity;
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
    for (;;) {
      if (input.end - input.at < 8) input.need(8, "a page record");
      const low = input.view.getUint32(input.at + 4);
      const flags = low & (pageSize - 1);
      const offset = input.view.getUint32(input.at) * 2 ** 32 + (low - flags);
      const kind = flags & ~RamFlag.CONTINUE;
      if (kind === RamFlag.PAGE) this.#page(input, flags, offset);
      else if (kind === RamFlag.ZERO) this.#zero(input, flags, offset);
      else if (kind === RamFlag.XBZRLE) this.#xbzrle(input, flags, offset);
      else if (kind === RamFlag.COMPRESS_PAGE) this.#compressed(input, flags, offset);
      else if (flags === RamFlag.MEM_SIZE) {
        input.at += 8;
        readBlocks(input, offset, this, this.sink);
      } else if (flags === RamFlag.MULTIFD_FLUSH) {
        input.at += 8;
        this.multifdFlushes++;
      } else if (flags === RamFlag.EOS) {
        input.at += 8;
        return;
      } else refuse(`RAM record with ${describeRamFlags(flags)}`, input.position);
    }
  }

  #page(input: StreamInput, flags: number, offset: number): void {
    const { pageSize } = this.dialect;
    const block = this.#begin(input, flags, offset);
    this.#count(input, block, offset, "normal");
    this.sink?.page(block, offset / pageSize, "normal", input.position, pageSize);
    if (input.end - input.at >= pageSize) input.at += pageSize;
    else input.skip(pageSize, "a page");
  }

  #zero(input: StreamInput, flags: number, offset: number): void {
    const block = this.#begin(input, flags, offset);
    this.#count(input, block, offset, "zero");
    const fill = input.u8("a zero page");
    this.sink?.page(block, offset / this.dialect.pageSize, "zero", fill, 0);
  }

  #xbzrle(input: StreamInput, flags: number, offset: number): void {
    const { pageSize } = this.dialect;
    const block = this.#begin(input, flags, offset);
    const encoding = input.u8("an XBZRLE record");
    const length = input.be16("an XBZRLE record's length");
    if (encoding !== 1) refuse(`XBZRLE encoding ${encoding}, not 1`, input.position - 3);
    if (length > pageSize) {
      refuse(`XBZRLE record of ${length} bytes for a page of ${pageSize}`, input.position - 2);
    }
    if (block.timesSent(offset / pageSize) === 0) {
      refuse(`XBZRLE record for a page that never came before`, input.position - 3);
    }
    this.#count(input, block, offset, "xbzrle");
    this.sink?.page(block, offset / pageSize, "xbzrle", input.position, length);
    input.skip(length, "an XBZRLE record");
  }

  #compressed(input: StreamInput, flags: number, offset: number): void {
    const { pageSize } = this.dialect;
    const block = this.#begin(input, flags, offset);
    const length = input.be32("a compressed page's length");
    if (length > 2 * pageSize) {
      refuse(`Compressed page of ${length} bytes, more than twice its size`, input.position - 4);
    }
    this.#count(input, block, offset, "compressed");
    this.sink?.page(block, offset / pageSize, "compressed", input.position, length);
    input.skip(length, "a compressed page");
  }

  /** Consumes a page record's header and finds its block. */
  #begin(input: StreamInput, flags: number, offset: number): WalkedBlock {
    const start = input.position;
    input.at += 8;
    let block = this.#block;
    if (!(flags & RamFlag.CONTINUE)) {
      const name = input.countedString("a RAM block's name");
      block = this.blocks.find((each) => each.name === name);
      if (!block) refuse(`Page of RAM block "${name}", which is not listed`, start);
      this.#block = block;
    } else if (!block) refuse("Page record that continues no block", start);
    if (offset >= block.length) {
      refuse(
        `Page at 0x${offset.toString(16)} is outside RAM block "${block.name}" of ` +
          `0x${block.length.toString(16)} bytes`,
        start,
      );
    }
    return block;
  }

  #count(input: StreamInput, block: WalkedBlock, offset: number, kind: PageKind): void {
    block.count(offset / this.dialect.pageSize, kind);
    if (this.postcopy) return;
    const place = block.start + offset;
    if (place <= this.#last && this.rounds.length < ROUNDS_MAX) {
      this.#round = { offset: input.position, pages: 0, zeroPages: 0 };
      this.rounds.push(this.#round);
    }
    this.#last = place;
    this.#round.pages++;
    if (kind === "zero") this.#round.zeroPages++;
  }
}

function refuse(why: string, offset: number): never {
  throw new StreamFormatError(why, { place: { offset } });
}

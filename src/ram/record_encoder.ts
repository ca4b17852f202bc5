/**
 * Encodes batches of pages as records of the `ram` section into a sending buffer (wire-format §5.1; QEMU
 * `migration/ram.c`, `ram_save_page`, `save_zero_page`).
 *
 * @module
 */
import { claimUnits } from "../batch/claim.ts";
import { DigestRecorder } from "../dirty/digest_recorder.ts";
import type { DigestTableLayout } from "../dirty/digest_table.ts";
import { bindRamRecords, type RamRecordsKernel } from "../kernels/ram_records.ts";
import { XBZRLE_SLACK } from "../kernels/xbzrle.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { hostPageUnit, type RamBlock } from "../machine/ram_block.ts";
import { BATCH_PAGES_MAX } from "../threads/job_ring.ts";
import { RamFlag, XBZRLE_HEADER } from "./flags.ts";
import { XbzrleEncoder } from "./xbzrle_encoder.ts";

/** A counted string: one byte of length and at most 255 more. */
const NAME_MAX = 256;

/** Bytes that a page's record takes besides the page itself, at most. */
export const RECORD_HEADER_MAX = 8 + NAME_MAX;

/** How pages are encoded. */
export interface RecordEncoderOptions {
  /** Send pages of zeros as ZERO records (`zero-page-detection` other than `none`). */
  readonly detectZero: boolean;
  /** Send nothing but zero pages; the others are made dirty again, for multifd channels to send. */
  readonly onlyZero?: boolean;
  /**
   * Claim pages in units of the host's, as postcopy must; runs then begin and end with such a page.
   */
  readonly wholeHostPages?: boolean;
  /** Where the hash log wants the digests of what is sent; slower, because pages then go one by one. */
  readonly digests?: DigestTableLayout;
  /** The buffer of {@linkcode XbzrleControl}, if pages may be sent as differences. */
  readonly xbzrle?: SharedArrayBuffer;
}

/** The pages that one call has claimed and encoded, as pairs of first page and count. */
export interface ClaimedRuns {
  readonly runs: Int32Array;
  /** How many pairs. */
  count: number;
}

/** The records of one channel; remembers which block the last record named. */
export class RecordEncoder {
  readonly #kernels = new Map<WebAssembly.Memory, RamRecordsKernel>();
  /** What the last call of {@linkcode RecordEncoder.encodeRun} has claimed; not what it sent as differences. */
  readonly claimed: ClaimedRuns = { runs: new Int32Array(2 * BATCH_PAGES_MAX), count: 0 };
  readonly #names: Uint8Array[];
  readonly #io: Uint8Array<ArrayBufferLike>;
  readonly #view: DataView<ArrayBufferLike>;
  readonly #digests: DigestRecorder | undefined;
  readonly #xbzrle: XbzrleEncoder | undefined;
  // Not the options themselves: their shape differs with who makes them, and optimized code with it.
  readonly #detectZero: boolean;
  readonly #onlyZero: boolean;
  readonly #wholeHostPages: boolean;
  #block: RamBlock | undefined;
  /** Pages encoded with content since the start. */
  normalPages = 0;
  /** Pages encoded as zeros since the start. */
  zeroPages = 0;
  /** Pages encoded as differences since the start, also those without any. */
  encodedPages = 0;

  /**
   * @param ram All blocks.
   * @param io The memory of the sending buffer. Its first 256 bytes are the encoder's own.
   */
  constructor(
    private readonly ram: GuestRam,
    private readonly io: WebAssembly.Memory,
    { detectZero, onlyZero = false, wholeHostPages = false, digests, xbzrle }: RecordEncoderOptions,
  ) {
    this.#detectZero = detectZero;
    this.#onlyZero = onlyZero;
    this.#wholeHostPages = wholeHostPages;
    this.#io = new Uint8Array(io.buffer);
    this.#view = new DataView(io.buffer);
    this.#digests = digests && new DigestRecorder(ram, digests, io);
    // In postcopy there are no differences (wire-format §5.7).
    if (xbzrle && !wholeHostPages) {
      this.#xbzrle = new XbzrleEncoder(ram, io, { control: xbzrle, detectZero, digests });
    }
    this.#names = ram.blocks.map((block) => {
      const name = new TextEncoder().encode(block.name);
      const counted = new Uint8Array(1 + name.length);
      counted[0] = name.length;
      counted.set(name, 1);
      return counted;
    });
  }

  /** How much room in the buffer a page takes at most, without {@linkcode RECORD_HEADER_MAX} for the first. */
  get pageBytesMax(): number {
    return 8 + this.ram.pageSize + (this.#xbzrle ? XBZRLE_HEADER + XBZRLE_SLACK : 0);
  }

  /** Makes the next record name its block, as it must after a break of the channel. */
  forgetBlock(): void {
    this.#block = undefined;
  }

  /**
   * Claims and encodes those of a run's pages that are still dirty.
   * @param block The block.
   * @param first The run's first page.
   * @param count How many pages, at most {@linkcode BATCH_PAGES_MAX}.
   * @param out Where in the buffer the first record goes; there must be room for all of them.
   * @returns Where the next record goes.
   */
  encodeRun(block: RamBlock, first: number, count: number, out: number): number {
    if (this.#xbzrle?.begins()) {
      this.claimed.count = 0;
      return this.#encodeDifferences(this.#xbzrle, block, first, count, out);
    }
    const unit = this.#wholeHostPages ? hostPageUnit(block, this.ram.pageSize) : 1;
    const { runs } = this.claimed;
    this.claimed.count = claimUnits(block.dirty, unit, first, count, runs);
    let at = out;
    for (let run = 0; run < this.claimed.count; run++) {
      const first = runs[2 * run]!;
      const count = runs[2 * run + 1]!;
      if (this.#onlyZero) at = this.#encodeZeros(block, first, count, at);
      else at = this.#encodeClaimed(block, first, count, at);
    }
    return at;
  }

  #encodeClaimed(block: RamBlock, first: number, count: number, out: number): number {
    const { pageSize } = this.ram;
    let at = out;
    for (let page = first; page < first + count;) {
      if (this.#digests && !block.untouched.has(page)) {
        at = this.#encodeWithDigest(this.#digests, block, page++, at);
        continue;
      }
      const offset = page * pageSize;
      const segment = block.segmentAt(offset);
      const inside = offset - segment.offset;
      const pages = this.#digests
        ? 1
        : Math.min(first + count - page, (segment.length - inside) / pageSize);
      const nameLength = this.#nameLength(block);
      const kernel = this.#kernelOf(segment.memory);
      at = kernel.encode(
        segment.base + inside,
        pages,
        pageSize,
        BigInt(offset),
        page,
        block.untouched.byteOffset,
        this.#detectZero ? 1 : 0,
        at,
        0,
        nameLength,
      );
      this.normalPages += kernel.normal_pages.value;
      this.zeroPages += kernel.zero_pages.value;
      page += pages;
    }
    return at;
  }

  /** The record of a page whose digest is that of the very bytes in the buffer. */
  #encodeWithDigest(digests: DigestRecorder, block: RamBlock, page: number, out: number): number {
    const { pageSize } = this.ram;
    const nameLength = this.#nameLength(block);
    const body = out + 8 + nameLength;
    digests.take(block.index, page, body);
    const isZero = this.#detectZero && this.#kernelOf(this.io).is_zero(body, pageSize) === 1;
    const flags = (isZero ? RamFlag.ZERO : RamFlag.PAGE) | (nameLength ? 0 : RamFlag.CONTINUE);
    this.#view.setBigUint64(out, BigInt(page * pageSize + flags));
    this.#io.copyWithin(out + 8, 0, nameLength);
    if (!isZero) {
      this.normalPages++;
      return body + pageSize;
    }
    this.#io[body] = 0;
    this.zeroPages++;
    return body + 1;
  }

  /** Claims and encodes pages as differences to what was sent of them before. */
  #encodeDifferences(
    xbzrle: XbzrleEncoder,
    block: RamBlock,
    first: number,
    count: number,
    out: number,
  ): number {
    const previous = this.#block;
    const { normalPages, zeroPages, encodedPages } = xbzrle;
    const end = xbzrle.encodeRun(block, first, count, out, this.#nameLength(block));
    // Where nothing is sent, nothing has named the block.
    if (end === out) this.#block = previous;
    this.normalPages += xbzrle.normalPages - normalPages;
    this.zeroPages += xbzrle.zeroPages - zeroPages;
    this.encodedPages += xbzrle.encodedPages - encodedPages;
    return end;
  }

  #zeroRecord(block: RamBlock, page: number, out: number): number {
    const nameLength = this.#nameLength(block);
    const flags = RamFlag.ZERO | (nameLength ? 0 : RamFlag.CONTINUE);
    this.#view.setBigUint64(out, BigInt(page * this.ram.pageSize + flags));
    this.#io.copyWithin(out + 8, 0, nameLength);
    const at = out + 8 + nameLength;
    this.#io[at] = 0;
    this.zeroPages++;
    return at + 1;
  }

  /** Records of those claimed pages that are zeros; the others are given back. */
  #encodeZeros(block: RamBlock, first: number, count: number, out: number): number {
    let at = out;
    for (let page = first; page < first + count; page++) {
      if (!this.#isZero(block, page, at + RECORD_HEADER_MAX)) {
        block.dirty.add(page);
        continue;
      }
      at = this.#zeroRecord(block, page, at);
    }
    return at;
  }

  /** Whether a claimed page is zeros. @param scratch Where a copy may go. */
  #isZero(block: RamBlock, page: number, scratch: number): boolean {
    if (block.untouched.has(page)) return true;
    const { pageSize } = this.ram;
    if (this.#digests) {
      this.#digests.take(block.index, page, scratch);
      return this.#kernelOf(this.io).is_zero(scratch, pageSize) === 1;
    }
    const segment = block.segmentAt(page * pageSize);
    const address = segment.base + page * pageSize - segment.offset;
    return this.#kernelOf(segment.memory).is_zero(address, pageSize) === 1;
  }

  /** How long the name in the next record is: 0 if it continues the block. Puts the name in its place. */
  #nameLength(block: RamBlock): number {
    if (block === this.#block) return 0;
    const name = this.#names[block.index]!;
    this.#io.set(name);
    this.#block = block;
    return name.length;
  }

  #kernelOf(memory: WebAssembly.Memory): RamRecordsKernel {
    let kernel = this.#kernels.get(memory);
    if (!kernel) {
      kernel = bindRamRecords(memory, this.io, this.ram.tables);
      this.#kernels.set(memory, kernel);
    }
    return kernel;
  }
}

/**
 * Encodes pages that lie in an image file. A stream has them as records already, so runs of records are
 * read straight into the sending buffer and get new headers. A record that is not of the page it should
 * be of is never sent. A mapped-ram file has the pages alone: they are read behind each other and moved apart.
 *
 * @module
 */
import { claimUnits } from "../batch/claim.ts";
import { ConnectionLostError, StreamFormatError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { hostPageUnit, type RamBlock } from "../machine/ram_block.ts";
import { RamFlag } from "./flags.ts";
import { BATCH_PAGES_MAX } from "../threads/job_ring.ts";
import { FileChannel } from "../transport/file_channel.ts";
import { type PageFile, PageIndex } from "./page_index.ts";

const HEADER = 8;

/** The records of one channel, from a file; remembers which block the last record named. */
export class FileRecordEncoder implements Disposable {
  readonly #file: FileChannel;
  readonly #index: PageIndex;
  readonly claimed = { runs: new Int32Array(2 * BATCH_PAGES_MAX), count: 0 };
  readonly #names: readonly Uint8Array[];
  readonly #io: Uint8Array<ArrayBufferLike>;
  readonly #view: DataView<ArrayBufferLike>;
  #block: RamBlock | undefined;
  normalPages = 0;
  zeroPages = 0;
  readonly encodedPages = 0;

  /**
   * Opens the file.
   * @param ram All blocks; they need no memory.
   * @param io The memory of the sending buffer.
   * @throws {TransportError} If the file cannot be opened.
   */
  constructor(
    private readonly ram: GuestRam,
    io: WebAssembly.Memory,
    private readonly pages: PageFile,
  ) {
    this.#file = new FileChannel(pages.file);
    this.#index = new PageIndex(pages.index);
    this.#io = new Uint8Array(io.buffer);
    this.#view = new DataView(io.buffer);
    this.#names = ram.blocks.map((block) => {
      const name = new TextEncoder().encode(block.name);
      return Uint8Array.of(name.length, ...name);
    });
  }

  get pageBytesMax(): number {
    return HEADER + this.ram.pageSize;
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file.close();
  }

  forgetBlock(): void {
    this.#block = undefined;
  }

  encodeRun(block: RamBlock, first: number, count: number, out: number): number {
    const unit = hostPageUnit(block, this.ram.pageSize);
    const { runs } = this.claimed;
    this.claimed.count = claimUnits(block.dirty, unit, first, count, runs);
    let at = out;
    for (let run = 0; run < this.claimed.count; run++) {
      const end = runs[2 * run]! + runs[2 * run + 1]!;
      for (let page = runs[2 * run]!; page < end;) {
        if (this.#index.isZero(block.index, page)) {
          at = this.#encodeZero(block, page++, at);
          continue;
        }
        const pages = this.#consecutive(block, page, end);
        at = this.pages.as === "pages"
          ? this.#encodePages(block, page, pages, at)
          : this.#encodeRecords(block, page, pages, at);
        page += pages;
      }
    }
    return at;
  }

  /** How many pages from one on stand one behind the other in the file. */
  #consecutive(block: RamBlock, page: number, end: number): number {
    const stride = this.ram.pageSize + (this.pages.as === "pages" ? 0 : HEADER);
    let next = page + 1;
    let offset = this.#index.offset(block.index, page) + stride;
    while (
      next < end && !this.#index.isZero(block.index, next) &&
      this.#index.offset(block.index, next) === offset
    ) {
      next++;
      offset += stride;
    }
    return next - page;
  }

  #encodeZero(block: RamBlock, page: number, out: number): number {
    const name = this.#nameOf(block);
    this.#writeHeader(page, RamFlag.ZERO, name, out);
    const body = out + HEADER + (name?.length ?? 0);
    this.#io[body] = 0;
    this.zeroPages++;
    return body + 1;
  }

  #encodePages(block: RamBlock, first: number, pages: number, out: number): number {
    const { pageSize } = this.ram;
    const name = this.#nameOf(block);
    let at = out + HEADER + (name?.length ?? 0);
    // Behind the room for all headers, of which each page needs the less the later it comes.
    const from = at + HEADER * (pages - 1);
    this.#read(from, pages * pageSize, this.#index.offset(block.index, first));
    this.#writeHeader(first, RamFlag.PAGE, name, out);
    for (let i = 0; i < pages; i++) {
      if (i > 0) {
        this.#writeHeader(first + i, RamFlag.PAGE, undefined, at);
        at += HEADER;
      }
      this.#io.copyWithin(at, from + i * pageSize, from + (i + 1) * pageSize);
      at += pageSize;
    }
    this.normalPages += pages;
    return at;
  }

  #encodeRecords(block: RamBlock, first: number, pages: number, out: number): number {
    const { pageSize } = this.ram;
    const stride = HEADER + pageSize;
    const offset = this.#index.offset(block.index, first);
    const name = this.#nameOf(block);
    // The first record's header, which the file has and the name may push back, is overwritten below.
    const from = out + (name?.length ?? 0);
    this.#read(from, pages * stride, offset);
    if ((this.#view.getUint32(from + 4) & RamFlag.CONTINUE) === 0) {
      return this.#encodeNamed(block, first, name, out);
    }
    for (let i = 0; i < pages; i++) {
      this.#check(block, first + i, from + i * stride, RamFlag.PAGE | RamFlag.CONTINUE);
    }
    this.#writeHeader(first, RamFlag.PAGE, name, out);
    this.normalPages += pages;
    return from + pages * stride;
  }

  /** A record that names its block in the file has its page behind the name; it is read by itself. */
  #encodeNamed(block: RamBlock, page: number, name: Uint8Array | undefined, out: number): number {
    const from = out + (name?.length ?? 0);
    this.#check(block, page, from, RamFlag.PAGE);
    const named = this.#names[block.index]!;
    for (let i = 0; i < named.length; i++) {
      if (this.#io[from + HEADER + i] !== named[i]) throw this.#wrong(block, page);
    }
    const offset = this.#index.offset(block.index, page) + HEADER + named.length;
    this.#read(from + HEADER, this.ram.pageSize, offset);
    this.#writeHeader(page, RamFlag.PAGE, name, out);
    this.normalPages++;
    return from + HEADER + this.ram.pageSize;
  }

  #check(block: RamBlock, page: number, at: number, flags: number): void {
    const offset = page * this.ram.pageSize + flags;
    if (
      this.#view.getUint32(at + 4) !== offset % 2 ** 32 ||
      this.#view.getUint32(at) !== Math.floor(offset / 2 ** 32)
    ) throw this.#wrong(block, page);
  }

  #writeHeader(page: number, flag: number, name: Uint8Array | undefined, out: number): void {
    const header = page * this.ram.pageSize + flag + (name ? 0 : RamFlag.CONTINUE);
    this.#view.setUint32(out, Math.floor(header / 2 ** 32));
    this.#view.setUint32(out + 4, header % 2 ** 32);
    if (name) this.#io.set(name, out + HEADER);
  }

  #read(at: number, length: number, offset: number): void {
    const position = this.pages.file.offset + offset;
    const count = this.#file.readNow(this.#io, at, length, position);
    if (count === length) return;
    throw new ConnectionLostError(`${this.#file.peer} ends at ${position + count} inside a page`);
  }

  /** The name that the next record carries, if it is of another block than the last. */
  #nameOf(block: RamBlock): Uint8Array | undefined {
    if (block === this.#block) return undefined;
    this.#block = block;
    return this.#names[block.index]!;
  }

  #wrong(block: RamBlock, page: number): StreamFormatError {
    const offset = this.#index.offset(block.index, page);
    return new StreamFormatError(
      `${this.#file.peer} does not have page ${page} of RAM block "${block.name}" where it was`,
      { place: { offset }, advice: "The image was changed while it was in use, or is damaged." },
    );
  }
}

/**
 * Makes multifd packets of claimed pages: headers and, where the pages lie scattered or are compressed,
 * payloads in a sending buffer; otherwise the pages are sent from where they are.
 *
 * ```text
 * zero list · run list · copy of a packet's pages · sending buffer 0 · sending buffer 1
 * ```
 *
 * @module
 */
import { DigestRecorder } from "../dirty/digest_recorder.ts";
import type { DigestTableLayout } from "../dirty/digest_table.ts";
import { MultifdPages, type MultifdPagesKernel } from "../kernels/multifd_pages.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { type RamBlock, type RamSegment, WASM_PAGE } from "../machine/ram_block.ts";
import type { Compressor } from "./codec.ts";
import { createCompressor } from "./create_codec.ts";
import { METHOD_FLAGS, type MultifdCompression } from "./method.ts";
import {
  Header,
  headerBytes,
  MULTIFD_MAGIC,
  MULTIFD_VERSION,
  PACKET_CONTENT,
  PacketFlag,
  packetPages,
  PAYLOAD_MAX,
} from "./packet.ts";

/** Pages in at most so many places are sent from there; more are copied together first. */
const IN_PLACE_RUNS = 16;
/** A buffer that is filled this far is sent: as many headers of zero pages as one write pays for. */
const FULL_AT = 64 * 1024;

const ZERO_LIST = 4096;
const RUN_LIST = 8192;
const COPY = WASM_PAGE;
const BUFFERS = COPY + PACKET_CONTENT;
/** No bitmap. */
const NONE = -1;

/** How packets are made. */
export interface PacketWriterOptions {
  /** List zero pages instead of sending them with content. */
  readonly detectZero: boolean;
  readonly compression: MultifdCompression;
  /** Where the hash log wants the digests of what is sent; slower, because pages then go one by one. */
  readonly digests?: DigestTableLayout;
}

/** The packets of one channel. */
export class PacketWriter {
  readonly #kernels: MultifdPages;
  readonly #io: WebAssembly.Memory;
  readonly #bytes: Uint8Array<ArrayBufferLike>;
  readonly #view: DataView<ArrayBufferLike>;
  readonly #heads: readonly Uint8Array[];
  readonly #headerBytes: number;
  readonly #pagesMax: number;
  readonly #bufferSize: number;
  readonly #compressor: Compressor | undefined;
  readonly #digests: DigestRecorder | undefined;
  /** The kernel of the packet at hand: that of the memory its pages lie in. */
  #kernel: MultifdPagesKernel | undefined;
  #memory: WebAssembly.Memory | undefined;
  #block: RamBlock | undefined;
  #pages = 0;
  #buffer: 0 | 1 = 0;
  #fill = 0;
  /** What is to be sent from its place in RAM, behind the sending buffer. */
  #inPlace: Uint8Array[] = [];
  /** Packets made since the start. */
  packets = 0;
  /** Pages packed with content since the start. */
  normalPages = 0;
  /** Pages packed as zeros since the start. */
  zeroPages = 0;

  /**
   * @param ram All blocks.
   * @param nextNumber Takes numbers for so many packets, which are counted over all channels; gives the first.
   */
  constructor(
    private readonly ram: GuestRam,
    private readonly options: PacketWriterOptions,
    private readonly nextNumber: (count: number) => number,
  ) {
    this.#pagesMax = packetPages(ram.pageSize);
    this.#headerBytes = headerBytes(ram.pageSize);
    this.#bufferSize = FULL_AT + this.#headerBytes + PAYLOAD_MAX;
    const pages = Math.ceil((BUFFERS + 2 * this.#bufferSize) / WASM_PAGE);
    this.#io = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.#bytes = new Uint8Array(this.#io.buffer);
    this.#view = new DataView(this.#io.buffer);
    this.#kernels = new MultifdPages(this.#io, ram.tables);
    this.#heads = ram.blocks.map((block) => this.#headOf(block));
    this.#compressor = createCompressor(options.compression);
    this.#digests = options.digests && new DigestRecorder(ram, options.digests, this.#io);
    this.#fill = this.#base;
  }

  /** Whether what there is must be taken before more is added. */
  get full(): boolean {
    return this.#inPlace.length > 0 || this.#fill - this.#base >= FULL_AT;
  }

  /**
   * Adds as many pages of a row to the packet at hand as fit.
   * @param first The first page; it and the others are claimed.
   * @param count How many pages there are.
   * @returns How many were added; 0 if the packet must be closed first.
   */
  add(block: RamBlock, first: number, count: number): number {
    const { pageSize } = this.ram;
    const offset = first * pageSize;
    const segment = block.segmentAt(offset);
    const memory = this.#digests ? this.#io : segment.memory;
    if (this.#pages > 0 && (this.#memory !== memory || this.#block !== block)) return 0;
    const inside = offset - segment.offset;
    const pages = Math.min(
      count,
      this.#pagesMax - this.#pages,
      (segment.length - inside) / pageSize,
    );
    if (pages === 0) return 0;
    if (this.#pages === 0) this.#begin(block, memory);
    if (this.#digests) this.#addWithDigests(this.#digests, block, first, pages);
    else this.#addInPlace(block, segment, first, pages);
    this.#pages += pages;
    return pages;
  }

  /**
   * Makes packets of untouched pages as far as whole packets of a row are that, many at once.
   * @param first The first page; it and the others are claimed, and no packet is begun.
   * @param count How many pages there are.
   * @returns How many of them are packed; 0 if the first packet is none of these.
   */
  addUntouched(block: RamBlock, first: number, count: number): number {
    if (count < this.#pagesMax || !this.options.detectZero || this.#digests) return 0;
    if (this.#pages > 0) return 0;
    const offset = first * this.ram.pageSize;
    const kernel = this.#kernels.of(block.segmentAt(offset).memory);
    const row = kernel.untouched_pages(block.untouched.byteOffset, first, count);
    const room = Math.ceil((FULL_AT - (this.#fill - this.#base)) / this.#headerBytes);
    const packets = Math.min(Math.floor(row / this.#pagesMax), room);
    if (packets === 0) return 0;
    this.#bytes.set(this.#heads[block.index]!, this.#fill);
    kernel.zero_headers(
      this.#fill,
      Header.OFFSETS,
      this.#pagesMax,
      packets,
      BigInt(offset),
      BigInt(this.ram.pageSize),
      BigInt(this.nextNumber(packets)),
    );
    this.#fill += packets * this.#headerBytes;
    this.packets += packets;
    const pages = packets * this.#pagesMax;
    this.zeroPages += pages;
    return pages;
  }

  /** Finishes the packet at hand, if there is one. */
  async close(): Promise<void> {
    const kernel = this.#kernel;
    if (!kernel || this.#pages === 0) return;
    const header = this.#fill;
    kernel.finish(header, this.#pagesMax);
    this.normalPages += kernel.normal_pages.value;
    this.zeroPages += kernel.zero_pages.value;
    this.#pages = 0;
    this.#fill += this.#headerBytes;
    this.#number(header);
    const payload = kernel.normal_pages.value === 0 ? 0 : await this.#addPayload(kernel);
    this.#view.setUint32(header + Header.PAYLOAD_BYTES, payload);
  }

  /** Adds a SYNC packet behind the one at hand, which must be closed. */
  addSync(): void {
    const header = this.#fill;
    this.#fill += this.#headerBytes;
    this.#bytes.fill(0, header, this.#fill);
    this.#writeHead(this.#view, header, PacketFlag.SYNC);
    this.#number(header);
  }

  /**
   * Takes what is to be sent and turns to the other buffer. It stays as it is until the next call but one.
   * @returns The parts, in order; none if there is nothing.
   */
  take(): Uint8Array[] {
    if (this.#fill === this.#base) return [];
    const parts = [this.#bytes.subarray(this.#base, this.#fill), ...this.#inPlace];
    this.#inPlace = [];
    this.#buffer = this.#buffer === 0 ? 1 : 0;
    this.#fill = this.#base;
    return parts;
  }

  /** Frees the compressor. */
  free(): void {
    this.#compressor?.close();
  }

  get #base(): number {
    return BUFFERS + this.#buffer * this.#bufferSize;
  }

  #begin(block: RamBlock, memory: WebAssembly.Memory): void {
    this.#block = block;
    this.#memory = memory;
    this.#kernel = this.#kernels.of(memory);
    this.#bytes.set(this.#heads[block.index]!, this.#fill);
    this.#kernel.begin(this.#fill + Header.OFFSETS, ZERO_LIST, RUN_LIST);
  }

  #addInPlace(block: RamBlock, segment: RamSegment, first: number, pages: number): void {
    const { pageSize } = this.ram;
    const offset = first * pageSize;
    this.#kernel!.sort(
      segment.base + offset - segment.offset,
      pages,
      pageSize,
      BigInt(offset),
      first,
      block.untouched.byteOffset,
      this.options.detectZero ? 1 : 0,
    );
  }

  /** Sorts private copies of the pages: the digest must be that of the very bytes that are sent. */
  #addWithDigests(digests: DigestRecorder, block: RamBlock, first: number, pages: number): void {
    const { pageSize } = this.ram;
    const kernel = this.#kernel!;
    for (let page = first; page < first + pages; page++) {
      const at = COPY + kernel.normal_pages.value * pageSize;
      const untouched = this.options.detectZero && block.untouched.has(page);
      if (!untouched) digests.take(block.index, page, at);
      kernel.sort(
        at,
        1,
        pageSize,
        BigInt(page * pageSize),
        page,
        untouched ? block.untouched.byteOffset : NONE,
        this.options.detectZero ? 1 : 0,
      );
    }
  }

  /** Adds the content of the packet at hand. @returns Its length in bytes. */
  async #addPayload(kernel: MultifdPagesKernel): Promise<number> {
    const length = kernel.normal_pages.value * this.ram.pageSize;
    if (this.#compressor) {
      const copied = this.#digests ? COPY + length : kernel.gather(COPY);
      const payload = await this.#compressor.compress(
        { bytes: this.#bytes, at: COPY, length: copied - COPY },
        { bytes: this.#bytes, at: this.#fill, length: PAYLOAD_MAX },
      );
      this.#fill += payload;
      return payload;
    }
    const runs = kernel.runs.value;
    if (runs > IN_PLACE_RUNS || this.#digests) {
      this.#fill = kernel.gather(this.#fill);
    } else {
      const { buffer } = this.#memory!;
      for (let run = 0; run < runs; run++) {
        const address = this.#view.getUint32(RUN_LIST + 8 * run, true);
        const bytes = this.#view.getUint32(RUN_LIST + 8 * run + 4, true);
        this.#inPlace.push(new Uint8Array(buffer, address, bytes));
      }
    }
    return length;
  }

  #number(header: number): void {
    const number = this.nextNumber(1);
    this.#view.setUint32(header + Header.PACKET_NUMBER, Math.floor(number / 2 ** 32));
    this.#view.setUint32(header + Header.PACKET_NUMBER + 4, number >>> 0);
    this.packets++;
  }

  /** The part of a header that all packets of a block have in common. */
  #headOf(block: RamBlock): Uint8Array {
    const head = new Uint8Array(Header.OFFSETS);
    this.#writeHead(
      new DataView(head.buffer),
      0,
      METHOD_FLAGS[this.options.compression.method],
    );
    head.set(new TextEncoder().encode(block.name), Header.NAME);
    return head;
  }

  #writeHead(view: DataView, at: number, flags: number): void {
    view.setUint32(at + Header.MAGIC, MULTIFD_MAGIC);
    view.setUint32(at + Header.VERSION, MULTIFD_VERSION);
    view.setUint32(at + Header.FLAGS, flags);
  }
}

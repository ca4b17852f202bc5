/**
 * Puts the pages of a packet into guest RAM. A packet lists single pages; here they are runs, pages that
 * lie side by side, because a run is read, copied or decompressed in one piece.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { MultifdPages, type MultifdPagesKernel } from "../kernels/multifd_pages.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import type { Decompressor, Span } from "./codec.ts";
import { Header } from "./packet.ts";
import type { ReceiveBuffer } from "./receive_buffer.ts";

/** Where the lists lie in the buffer's memory. A packet has at most 512 pages, a run takes 8 bytes. */
const LISTS = { normal: 4096, zero: 8192 } as const;
/** One of the two lists of runs. */
export type RunList = keyof typeof LISTS;

/** Places the pages of one channel. */
export class PagePlacer {
  readonly #kernels: MultifdPages;
  /** One of them, for what touches no RAM. */
  readonly #anyKernel: MultifdPagesKernel;
  readonly #pageShift: number;
  /** Every memory as bytes: views are made once. */
  readonly #memories: ReadonlyMap<WebAssembly.Memory, Uint8Array>;

  /**
   * @param ram Where pages go.
   * @param buffer Where headers and payloads are.
   */
  constructor(private readonly ram: GuestRam, private readonly buffer: ReceiveBuffer) {
    this.#kernels = new MultifdPages(buffer.memory, ram.tables);
    this.#pageShift = Math.log2(ram.pageSize);
    const { memories } = ram;
    this.#memories = new Map(memories.map((memory) => [memory, new Uint8Array(memory.buffer)]));
    this.#anyKernel = this.#kernels.of(memories[0]!);
  }

  /**
   * Makes runs of a header's offsets.
   * @param at Where in the buffer's memory the offsets are.
   * @param count How many.
   * @param list Where the runs go.
   * @returns How many runs there are.
   * @throws {StreamFormatError} If an offset is no page of the block.
   */
  parse(block: RamBlock, at: number, count: number, list: RunList): number {
    if (count === 0) return 0;
    const length = BigInt(block.length);
    const runs = this.#anyKernel.parse(at, count, this.#pageShift, length, LISTS[list]);
    if (runs >= 0) return runs;
    const offset = this.buffer.view.getBigUint64(at + 8 * (-1 - runs));
    throw new StreamFormatError(
      `A multifd packet with a page at 0x${offset.toString(16)} of RAM block "${block.name}", ` +
        `which has 0x${block.length.toString(16)} bytes`,
    );
  }

  /** Reads the normal pages from the connection straight to their place. */
  async readInPlace(block: RamBlock, runs: number): Promise<void> {
    for (let run = 0; run < runs; run++) {
      for (const { bytes, at, length } of this.#pieces(block, "normal", run)) {
        await this.buffer.readInto(bytes.subarray(at, at + length));
      }
      this.#mark(block, run);
    }
  }

  /** Copies the normal pages from the buffer, where they stand side by side. */
  scatter(block: RamBlock, runs: number, from: number): void {
    for (let done = 0; done < runs;) {
      const segment = block.segmentAt(this.#page("normal", done) * this.ram.pageSize);
      const did = this.#kernels.of(segment.memory).scatter(
        LISTS.normal + 8 * done,
        runs - done,
        from,
        this.#pageShift,
        BigInt(segment.base - segment.offset),
        segment.offset / this.ram.pageSize,
        (segment.offset + segment.length) / this.ram.pageSize,
        block.received.byteOffset,
        block.untouched.byteOffset,
      );
      for (const end = done + did; done < end; done++) {
        from += this.#count("normal", done) * this.ram.pageSize;
      }
      if (did > 0) continue;
      for (const { bytes, at, length } of this.#pieces(block, "normal", done)) {
        bytes.set(this.buffer.bytes.subarray(from, from + length), at);
        from += length;
      }
      this.#mark(block, done++);
    }
  }

  /** Decompresses the normal pages to their place. The decompressor has begun with the packet. */
  decompress(block: RamBlock, runs: number, decompressor: Decompressor): void {
    for (let run = 0; run < runs; run++) {
      for (const piece of this.#pieces(block, "normal", run)) decompressor.take(piece);
      this.#mark(block, run);
    }
  }

  /** Makes the zero pages read as zeros. */
  placeZeros(block: RamBlock, runs: number): void {
    const { pageSize } = this.ram;
    for (let run = 0; run < runs; run++) {
      let page = this.#page("zero", run);
      for (let left = this.#count("zero", run); left > 0;) {
        const segment = block.segmentAt(page * pageSize);
        const inside = page * pageSize - segment.offset;
        const pages = Math.min(left, (segment.length - inside) / pageSize);
        this.#kernels.of(segment.memory).place_zeros(
          segment.base + inside,
          pageSize,
          page,
          pages,
          block.received.byteOffset,
          block.untouched.byteOffset,
        );
        page += pages;
        left -= pages;
      }
    }
  }

  /**
   * Places packets that lie in the buffer and are like one of zero pages that was read before them.
   * @param checked Where its header is.
   * @param headerBytes The length of a header.
   * @returns How many packets, and how many pages they had.
   */
  placeAlike(
    block: RamBlock,
    checked: number,
    headerBytes: number,
  ): { readonly packets: number; readonly pages: number } {
    const { base, offset, length, memory } = block.segmentAt(
      this.#page("zero", 0) * this.ram.pageSize,
    );
    const kernel = this.#kernels.of(memory);
    const packets = kernel.place_alike(
      checked,
      this.buffer.start,
      this.buffer.end,
      headerBytes,
      Header.OFFSETS,
      this.ram.pageSize,
      BigInt(base - offset),
      BigInt(offset),
      BigInt(offset + length),
      block.received.byteOffset,
      block.untouched.byteOffset,
    );
    return { packets, pages: kernel.zero_pages.value };
  }

  /** A run's bytes in RAM: one piece in each segment it lies in. */
  *#pieces(block: RamBlock, list: RunList, run: number): Generator<Span> {
    const { pageSize } = this.ram;
    let offset = this.#page(list, run) * pageSize;
    for (let left = this.#count(list, run) * pageSize; left > 0;) {
      const segment = block.segmentAt(offset);
      const inside = offset - segment.offset;
      const length = Math.min(left, segment.length - inside);
      yield {
        bytes: this.#memories.get(segment.memory)!,
        at: segment.base + inside,
        length,
      };
      offset += length;
      left -= length;
    }
  }

  #page(list: RunList, run: number): number {
    return this.buffer.view.getUint32(LISTS[list] + 8 * run, true);
  }

  #count(list: RunList, run: number): number {
    return this.buffer.view.getUint32(LISTS[list] + 8 * run + 4, true);
  }

  #mark(block: RamBlock, run: number): void {
    this.#anyKernel.mark(
      block.received.byteOffset,
      block.untouched.byteOffset,
      this.#page("normal", run),
      this.#count("normal", run),
    );
  }
}

/**
 * Places page records from the incoming ring into guest RAM (wire-format §5.1; QEMU `migration/ram.c`,
 * `ram_load_precopy`). Runs of pages are placed by a kernel; this file handles what interrupts them: a
 * record that names its block, the end of a segment, a fill other than zero.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { bindRamRecords, type RamRecordsKernel, XBZRLE_FAULTS } from "../kernels/ram_records.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock, RamSegment } from "../machine/ram_block.ts";
import { SHARED_STREAM_SIZE, type SharedStream } from "../threads/shared_stream.ts";
import { RamFlag, XBZRLE_HEADER } from "./flags.ts";
import { type DecoderPause, RecordHead } from "./record_head.ts";

/** Decodes the records of one channel; remembers which block the last record named. */
export class RecordDecoder {
  readonly #kernels = new Map<WebAssembly.Memory, RamRecordsKernel>();
  readonly #head: RecordHead;
  readonly #fill = new Uint8Array(1);
  readonly #pageShift: number;
  #block: RamBlock | undefined;
  #segment: RamSegment | undefined;
  /** Pages placed with content since the start. */
  normalPages = 0;
  /** Pages placed as zeros since the start. */
  zeroPages = 0;
  /** Pages placed as differences to what was there, since the start. */
  encodedPages = 0;

  /**
   * @param ram Where the pages go.
   * @param stream Where the records are; it must be this thread's turn.
   */
  constructor(private readonly ram: GuestRam, private readonly stream: SharedStream) {
    this.#pageShift = Math.log2(ram.pageSize);
    this.#head = new RecordHead(ram, stream);
  }

  /**
   * Places all records that are complete.
   * @throws {StreamFormatError} If a record lies outside its block or continues none.
   * @throws {IncompatibleError} If it names a block this machine does not have.
   */
  advance(): DecoderPause {
    for (;;) {
      this.#decodeRun();
      const pause = this.#decodeOne();
      if (pause) return pause;
    }
  }

  #decodeRun(): void {
    const block = this.#block;
    const segment = this.#segment;
    if (!block || !segment) return;
    const kernel = this.#kernelOf(segment.memory);
    const consumed = kernel.decode(
      this.stream.ringOffset,
      this.stream.available,
      SHARED_STREAM_SIZE,
      this.ram.pageSize,
      this.#pageShift,
      segment.base,
      BigInt(segment.offset),
      BigInt(segment.length),
      block.received.byteOffset,
      block.untouched.byteOffset,
    );
    if (consumed > 0) this.stream.consume(consumed);
    this.normalPages += kernel.normal_pages.value;
    this.zeroPages += kernel.zero_pages.value;
    this.encodedPages += kernel.encoded_pages.value;
  }

  /** One record with all checks; `undefined` when it was placed. */
  #decodeOne(): DecoderPause | undefined {
    const head = this.#head;
    const pause = head.look();
    if (pause) return pause;
    const { block, offset, kind, size, bodySize } = head;
    if (kind === RamFlag.XBZRLE) this.#placeDifferences(block, offset, size, bodySize);
    else this.#place(block, offset, kind, size);
    head.consume();
    this.#block = block;
    return undefined;
  }

  #placeDifferences(block: RamBlock, offset: number, skip: number, body: number): void {
    const { pageSize } = this.ram;
    const segment = block.segmentAt(offset);
    const page = offset / pageSize;
    this.#segment = segment;
    const kernel = this.#kernelOf(segment.memory);
    const length = body - XBZRLE_HEADER;
    const from = (this.stream.ringOffset + skip + XBZRLE_HEADER) & (SHARED_STREAM_SIZE - 1);
    block.untouched.delete(page);
    const fault = kernel.xbzrle(
      kernel.unwrap(from, length, SHARED_STREAM_SIZE),
      length,
      segment.base + offset - segment.offset,
      pageSize,
    );
    if (fault !== 0) {
      throw new StreamFormatError(
        `XBZRLE record of page 0x${offset.toString(16)} of RAM block "${block.name}": ` +
          XBZRLE_FAULTS[fault],
        this.#here(),
      );
    }
    block.received.add(page);
    this.encodedPages++;
  }

  #place(block: RamBlock, offset: number, kind: number, skip: number): void {
    const segment = block.segmentAt(offset);
    const address = segment.base + offset - segment.offset;
    const page = offset / this.ram.pageSize;
    this.#segment = segment;
    if (kind === RamFlag.PAGE) {
      this.stream.peek(
        new Uint8Array(segment.memory.buffer, address, this.ram.pageSize),
        skip,
      );
      block.untouched.delete(page);
      block.received.add(page);
      this.normalPages++;
      return;
    }
    this.stream.peek(this.#fill, skip);
    const fill = this.#fill[0]!;
    if (fill === 0) {
      this.#kernelOf(segment.memory).place_zero(
        address,
        this.ram.pageSize,
        page,
        block.received.byteOffset,
        block.untouched.byteOffset,
      );
    } else {
      // QEMU up to 8.x may say so and means it; later ones never do.
      new Uint8Array(segment.memory.buffer, address, this.ram.pageSize).fill(fill);
      block.untouched.delete(page);
      block.received.add(page);
    }
    this.zeroPages++;
  }

  #here(): { place: { offset: number } } {
    return { place: { offset: this.stream.position } };
  }

  #kernelOf(memory: WebAssembly.Memory): RamRecordsKernel {
    let kernel = this.#kernels.get(memory);
    if (!kernel) {
      kernel = bindRamRecords(memory, this.stream.layout.memory, this.ram.tables);
      this.#kernels.set(memory, kernel);
    }
    return kernel;
  }
}

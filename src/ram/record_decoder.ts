/**
 * Places page records from the incoming ring into guest RAM (wire-format §5.1; QEMU `migration/ram.c`,
 * `ram_load_precopy`). Runs of pages are placed by a kernel; this file handles what interrupts them: a
 * record that names its block, the end of a segment, a fill other than zero.
 *
 * @module
 */
import { IncompatibleError, StreamFormatError } from "../errors.ts";
import { bindRamRecords, type RamRecordsKernel, XBZRLE_FAULTS } from "../kernels/ram_records.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock, RamSegment } from "../machine/ram_block.ts";
import { SHARED_STREAM_SIZE, type SharedStream } from "../threads/shared_stream.ts";
import { decodeText } from "../wire/byte_reader.ts";
import { RamFlag, XBZRLE_ENCODING, XBZRLE_HEADER } from "./flags.ts";

/** Why {@linkcode RecordDecoder.advance} stopped. */
export type DecoderPause =
  /** The next record is not complete yet. */
  | "more"
  /** The next record is not a page's; it has not been consumed. */
  | "other";

/** Decodes the records of one channel; remembers which block the last record named. */
export class RecordDecoder {
  readonly #kernels = new Map<WebAssembly.Memory, RamRecordsKernel>();
  readonly #head = new Uint8Array(9 + 255);
  readonly #view = new DataView(this.#head.buffer);
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
  }

  /**
   * Places all records that are complete.
   * @throws {StreamFormatError} If a record lies outside its block or continues none.
   * @throws {IncompatibleError} If it names a block this machine does not have.
   */
  advance(): DecoderPause {
    for (;;) {
      this.#decodeRun();
      if (this.stream.available < 8) return "more";
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
    const { stream } = this;
    const available = stream.available;
    stream.peek(this.#head.subarray(0, 8));
    const header = this.#view.getBigUint64(0);
    const flags = Number(header & BigInt(this.ram.pageSize - 1));
    const kind = flags & ~RamFlag.CONTINUE;
    if (kind !== RamFlag.PAGE && kind !== RamFlag.ZERO && kind !== RamFlag.XBZRLE) return "other";

    let size = 8;
    let block = this.#block;
    if (!(flags & RamFlag.CONTINUE)) {
      if (available < 9) return "more";
      stream.peek(this.#head.subarray(0, 9));
      size = 9 + this.#head[8]!;
      if (available < size) return "more";
      stream.peek(this.#head.subarray(0, size));
      block = this.#blockNamed(this.#head.subarray(9, size));
    }
    if (!block) {
      throw new StreamFormatError("Page record that continues no block", this.#here());
    }
    const offset = header - BigInt(flags);
    if (offset >= BigInt(block.length)) {
      throw new StreamFormatError(
        `Page at 0x${offset.toString(16)} is outside RAM block "${block.name}" of ` +
          `0x${block.length.toString(16)} bytes`,
        this.#here(),
      );
    }
    let body = kind === RamFlag.PAGE ? this.ram.pageSize : 1;
    if (kind === RamFlag.XBZRLE) {
      if (available < size + XBZRLE_HEADER) return "more";
      body = XBZRLE_HEADER + this.#differencesLength(size);
    }
    if (available < size + body) return "more";
    if (kind === RamFlag.XBZRLE) this.#placeDifferences(block, Number(offset), size, body);
    else this.#place(block, Number(offset), kind, size);
    stream.consume(size + body);
    this.#block = block;
    return undefined;
  }

  /** How many bytes of differences follow in an XBZRLE record. @param skip Where they are announced. */
  #differencesLength(skip: number): number {
    this.stream.peek(this.#head.subarray(0, XBZRLE_HEADER), skip);
    const encoding = this.#head[0]!;
    if (encoding !== XBZRLE_ENCODING) {
      throw new StreamFormatError(
        `XBZRLE record with encoding ${encoding}: only ${XBZRLE_ENCODING} is known`,
        this.#here(),
      );
    }
    const length = this.#view.getUint16(1);
    if (length > this.ram.pageSize) {
      throw new StreamFormatError(
        `XBZRLE record of ${length} bytes: at most a page's ${this.ram.pageSize} are possible`,
        this.#here(),
      );
    }
    return length;
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
    this.stream.peek(this.#head.subarray(0, 1), skip);
    const fill = this.#head[0]!;
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

  #blockNamed(bytes: Uint8Array): RamBlock {
    const name = decodeText(bytes, "A RAM block's name", this.stream.position);
    const block = this.ram.block(name);
    if (!block) {
      throw new IncompatibleError(`Page of RAM block "${name}", which this machine does not have`, {
        ...this.#here(),
        advice: "Start the destination with the machine and devices of the source.",
      });
    }
    return block;
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

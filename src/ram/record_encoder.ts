/**
 * Encodes batches of pages as records of the `ram` section into a sending buffer (wire-format §5.1; QEMU
 * `migration/ram.c`, `ram_save_page`, `save_zero_page`).
 *
 * @module
 */
import { claimPages } from "../batch/claim.ts";
import { bindRamRecords, type RamRecordsKernel } from "../kernels/ram_records.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { BATCH_PAGES_MAX } from "../threads/job_ring.ts";

/** A counted string: one byte of length and at most 255 more. */
const NAME_MAX = 256;

/** Bytes that a page's record takes besides the page itself, at most. */
export const RECORD_HEADER_MAX = 8 + NAME_MAX;

/** Called after pages were encoded from the buffer's content: `(block, page, address of its copy)`. */
export type AfterPage = (block: RamBlock, page: number, address: number) => void;

/** How pages are encoded. */
export interface RecordEncoderOptions {
  /** Send pages of zeros as ZERO records (`zero-page-detection` other than `none`). */
  readonly detectZero: boolean;
  /** Is told of each page that was copied, for the hash log; slower, because pages go one by one. */
  readonly afterPage?: AfterPage;
}

/** The records of one channel; remembers which block the last record named. */
export class RecordEncoder {
  readonly #kernels = new Map<WebAssembly.Memory, RamRecordsKernel>();
  readonly #runs = new Int32Array(2 * BATCH_PAGES_MAX);
  readonly #names: Uint8Array[];
  readonly #io: Uint8Array<ArrayBufferLike>;
  #block: RamBlock | undefined;
  /** Pages encoded with content since the start. */
  normalPages = 0;
  /** Pages encoded as zeros since the start. */
  zeroPages = 0;

  /**
   * @param ram All blocks.
   * @param io The memory of the sending buffer. Its first 256 bytes are the encoder's own.
   */
  constructor(
    private readonly ram: GuestRam,
    private readonly io: WebAssembly.Memory,
    private readonly options: RecordEncoderOptions,
  ) {
    this.#io = new Uint8Array(io.buffer);
    this.#names = ram.blocks.map((block) => {
      const name = new TextEncoder().encode(block.name);
      const counted = new Uint8Array(1 + name.length);
      counted[0] = name.length;
      counted.set(name, 1);
      return counted;
    });
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
    const runs = claimPages(block.dirty, first, count, this.#runs);
    let at = out;
    for (let run = 0; run < runs; run++) {
      at = this.#encodeClaimed(block, this.#runs[2 * run]!, this.#runs[2 * run + 1]!, at);
    }
    return at;
  }

  #encodeClaimed(block: RamBlock, first: number, count: number, out: number): number {
    const step = this.options.afterPage ? 1 : count;
    let at = out;
    for (let page = first; page < first + count;) {
      const offset = page * this.ram.pageSize;
      const segment = block.segmentAt(offset);
      const inside = offset - segment.offset;
      const pages = Math.min(
        step,
        first + count - page,
        (segment.length - inside) / this.ram.pageSize,
      );
      let nameLength = 0;
      if (block !== this.#block) {
        const name = this.#names[block.index]!;
        this.#io.set(name);
        nameLength = name.length;
        this.#block = block;
      }
      const kernel = this.#kernelOf(segment.memory);
      at = kernel.encode(
        segment.base + inside,
        pages,
        this.ram.pageSize,
        BigInt(offset),
        page,
        block.untouched.byteOffset,
        this.options.detectZero ? 1 : 0,
        at,
        0,
        nameLength,
      );
      this.normalPages += kernel.normal_pages.value;
      this.zeroPages += kernel.zero_pages.value;
      this.options.afterPage?.(block, page, at - this.ram.pageSize);
      page += pages;
    }
    return at;
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

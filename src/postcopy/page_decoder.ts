/**
 * Page records while the guest runs (wire-format §8.5; QEMU `migration/ram.c`, `ram_load_postcopy`). The
 * target pages of a page of the host are placed together; what is there already is passed over, because
 * the guest may have changed it. A QEMU 7.2 that has a preempt channel ends a section inside of a page of
 * the host when another one is asked for, and goes on with it in the next.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { bindRamRecords, type RamRecordsKernel } from "../kernels/ram_records.ts";
import { GuestRam } from "../machine/guest_ram.ts";
import { WASM_PAGE } from "../machine/ram_block.ts";
import { RamFlag } from "../ram/flags.ts";
import { type DecoderPause, RecordHead } from "../ram/record_head.ts";
import { SHARED_STREAM_SIZE, type SharedStream } from "../threads/shared_stream.ts";
import type { MissingRamLayout } from "../ram/load_loop.ts";
import { CheckedPages } from "./checked_pages.ts";
import { FaultedPages } from "./faulted_pages.ts";
import { HostPageParts } from "./host_page_parts.ts";
import type { PageStore } from "./page_store.ts";

/** So many pages that lie side by side are placed in one go. */
const ROW_MAX = 64;
/** A record's bytes before its page, when it continues a block. */
const RECORD_HEAD = 8;

/** Decodes the records of one channel. */
export class PageDecoder {
  readonly #ram: GuestRam;
  readonly #head: RecordHead;
  /** A row of pages. */
  readonly #staging: WebAssembly.Memory;
  readonly #staged: Uint8Array;
  readonly #kernel: RamRecordsKernel;
  readonly #pageShift: number;
  readonly #fill = new Uint8Array(1);
  readonly #parts: HostPageParts;
  /** Pages that came with content. */
  normalPages = 0;
  /** Pages that came as zeros. */
  zeroPages = 0;
  /** Pages that came as differences: none. */
  readonly encodedPages = 0;

  /**
   * @param ram What the records are of.
   * @param stream Where they are; it must be this thread's turn.
   * @param store Where the pages go.
   */
  constructor(
    ram: GuestRam,
    private readonly stream: SharedStream,
    private readonly store: PageStore,
  ) {
    this.#ram = ram;
    this.#head = new RecordHead(ram, stream);
    this.#parts = new HostPageParts(ram.pageSize, store);
    const pages = Math.ceil(ROW_MAX * ram.pageSize / WASM_PAGE);
    this.#staging = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.#staged = new Uint8Array(this.#staging.buffer);
    this.#pageShift = Math.log2(ram.pageSize);
    this.#kernel = bindRamRecords(this.#staging, stream.layout.memory, ram.tables);
  }

  /**
   * Places all pages that are complete.
   * @throws {StreamFormatError} If a record lies outside its block, continues none, or begins one page of
   * the host too many.
   * @throws {IncompatibleError} If it names a block this machine does not have.
   */
  advance(): DecoderPause {
    const head = this.#head;
    for (;;) {
      this.#placeRows();
      const pause = head.look();
      if (pause) return pause;
      const { kind } = head;
      if (kind === RamFlag.XBZRLE) this.#refuse("Differences to a page, in postcopy");
      if (kind === RamFlag.ZERO) {
        this.stream.peek(this.#fill, head.size);
        if (this.#fill[0] !== 0) {
          this.#refuse(`A page of ${this.#fill[0]}s, which is not possible here`);
        }
        this.zeroPages++;
      } else {
        this.normalPages++;
      }
      if (head.block.hostPageSize === this.#ram.pageSize) this.#placeOne();
      else this.#addPart();
      head.consume();
    }
  }

  /** Places the pages with content that come next, as long as no more is to be known of them than that. */
  #placeRows(): void {
    const block = this.#head.previous;
    const { pageSize } = this.#ram;
    if (block?.hostPageSize !== pageSize) return;
    const { stream } = this;
    for (;;) {
      const count = this.#kernel.stage(
        stream.ringOffset,
        stream.available,
        SHARED_STREAM_SIZE,
        pageSize,
        this.#pageShift,
        ROW_MAX,
        block.pageCount,
        block.received.byteOffset,
      );
      if (count === 0) return;
      this.store.place(block, this.#kernel.staged_page.value, this.#staging, 0, count);
      this.normalPages += count;
      stream.consume(count * (RECORD_HEAD + pageSize));
    }
  }

  #placeOne(): void {
    const { block, kind, size, offset } = this.#head;
    const { pageSize } = this.#ram;
    const page = offset / pageSize;
    if (block.received.has(page)) return;
    if (kind === RamFlag.ZERO) return this.store.placeZeros(block, page);
    this.stream.peek(this.#staged.subarray(0, pageSize), size);
    this.store.place(block, page, this.#staging, 0);
  }

  #addPart(): void {
    const { block, kind, size, offset } = this.#head;
    const content = kind === RamFlag.ZERO ? undefined : this.stream;
    if (!this.#parts.add(block, offset, content, size)) {
      this.#refuse("A page interrupts a page of the host, and so did one before");
    }
  }

  #refuse(what: string): never {
    throw new StreamFormatError(what, { place: { offset: this.stream.position } });
  }
}

/** Makes the decoder of a channel of RAM that a guest misses, in the way that RAM is watched. */
export function openPageDecoder(missing: MissingRamLayout, stream: SharedStream): PageDecoder {
  const store = missing.userfaultfd === undefined
    ? new CheckedPages(missing)
    : new FaultedPages(missing, missing.userfaultfd);
  return new PageDecoder(new GuestRam(missing.ram), stream, store);
}

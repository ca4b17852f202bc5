/**
 * Page records while the guest runs (wire-format §8.5; QEMU `migration/ram.c`, `ram_load_postcopy`). The
 * target pages of one page of the host come one after the other and are placed together; what is there
 * already is passed over, because the guest may have changed it. A QEMU 7.2 that has a preempt channel ends
 * a section inside of a page of the host when another one is asked for, and goes on with it in the next.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { bindRamRecords, type RamRecordsKernel } from "../kernels/ram_records.ts";
import { GuestRam } from "../machine/guest_ram.ts";
import { WASM_PAGE } from "../machine/ram_block.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { RamFlag } from "../ram/flags.ts";
import { type DecoderPause, RecordHead } from "../ram/record_head.ts";
import { SHARED_STREAM_SIZE, type SharedStream } from "../threads/shared_stream.ts";
import type { MissingRamLayout } from "../ram/load_loop.ts";
import { CheckedPages } from "./checked_pages.ts";
import { FaultedPages } from "./faulted_pages.ts";
import type { PageStore } from "./page_store.ts";

/** So many pages that lie side by side are placed in one go. */
const ROW_MAX = 64;
/** A record's bytes before its page, when it continues a block. */
const RECORD_HEAD = 8;

/** Decodes the records of one channel. */
export class PageDecoder {
  readonly #ram: GuestRam;
  readonly #head: RecordHead;
  /** A row of pages, or a page of the host that comes in parts. */
  readonly #staging: WebAssembly.Memory;
  readonly #staged: Uint8Array;
  readonly #kernel: RamRecordsKernel;
  readonly #pageShift: number;
  readonly #fill = new Uint8Array(1);
  #block: RamBlock | undefined;
  #page = 0;
  /** Which of its target pages have come, and whether all of them were zeros. */
  readonly #parts = new Set<number>();
  #allZeros = true;
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
    const largest = ram.blocks.reduce((most, block) => Math.max(most, block.hostPageSize), 0);
    const pages = Math.ceil(Math.max(largest, ROW_MAX * ram.pageSize) / WASM_PAGE);
    this.#staging = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.#staged = new Uint8Array(this.#staging.buffer);
    this.#pageShift = Math.log2(ram.pageSize);
    this.#kernel = bindRamRecords(this.#staging, stream.layout.memory, ram.tables);
  }

  /**
   * Places all pages that are complete.
   * @throws {StreamFormatError} If a record lies outside its block, continues none, or interrupts a page
   * of the host.
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
    if (block?.hostPageSize !== pageSize || this.#parts.size > 0) return;
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
    if (this.#parts.size > 0) this.#refuse("A page interrupts a page of the host");
    if (block.received.has(page)) return;
    if (kind === RamFlag.ZERO) return this.store.placeZeros(block, page);
    this.stream.peek(this.#staged.subarray(0, pageSize), size);
    this.store.place(block, page, this.#staging, 0);
  }

  #addPart(): void {
    const { block, kind, size, offset } = this.#head;
    const { pageSize } = this.#ram;
    const { hostPageSize } = block;
    const inside = offset % hostPageSize;
    const page = (offset - inside) / pageSize;
    if (this.#parts.size === 0) {
      this.#block = block;
      this.#page = page;
      this.#allZeros = true;
    } else if (this.#block !== block || this.#page !== page) {
      this.#refuse("A page interrupts a page of the host");
    }
    this.#parts.add(inside);
    const part = this.#staged.subarray(inside, inside + pageSize);
    if (kind === RamFlag.ZERO) {
      part.fill(0);
    } else {
      this.stream.peek(part, size);
      this.#allZeros = false;
    }
    if (this.#parts.size < Math.min(hostPageSize, block.length - page * pageSize) / pageSize) {
      return;
    }
    this.#parts.clear();
    if (block.received.has(page)) return;
    if (this.#allZeros) this.store.placeZeros(block, page);
    else this.store.place(block, page, this.#staging, 0);
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

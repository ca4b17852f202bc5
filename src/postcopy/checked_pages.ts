/**
 * Places pages where the kernel does not watch: the guest asks before it uses a page, so a page is written,
 * then said to be there, then whoever waits for it is woken.
 *
 * @module
 */
import { bindRamRecords, type RamRecordsKernel } from "../kernels/ram_records.ts";
import { GuestRam } from "../machine/guest_ram.ts";
import { Presence } from "../machine/presence.ts";
import type { RamBlock, RamSegment } from "../machine/ram_block.ts";
import type { MissingRamLayout } from "../ram/load_loop.ts";
import { Arrivals, type PageStore } from "./page_store.ts";

/** No memory ends here: nothing wraps. */
const NO_RING = 2 ** 31;

/** A {@linkcode PageStore} for guests that ask. */
export class CheckedPages implements PageStore {
  readonly #ram: GuestRam;
  readonly #presence: Presence;
  readonly #arrivals: Arrivals;
  readonly #kernels = new Map<WebAssembly.Memory, Map<WebAssembly.Memory, RamRecordsKernel>>();
  /** Every memory as bytes: views are made once. */
  readonly #bytes: ReadonlyMap<WebAssembly.Memory, Uint8Array>;

  /** @param layout The RAM. */
  constructor(layout: MissingRamLayout) {
    this.#ram = new GuestRam(layout.ram);
    this.#presence = new Presence(layout.presence);
    this.#arrivals = new Arrivals(layout);
    this.#bytes = new Map(
      this.#ram.memories.map((memory) => [memory, new Uint8Array(memory.buffer)]),
    );
  }

  place(
    block: RamBlock,
    page: number,
    source: WebAssembly.Memory,
    at: number,
    count = 1,
  ): void {
    for (let i = 0; i < count; i++) {
      const next = page + i * this.#arrivals.pagesOf(block);
      this.#place(block, next, source, at + i * block.hostPageSize);
    }
  }

  #place(block: RamBlock, page: number, source: WebAssembly.Memory, at: number): void {
    this.#presence.lock();
    try {
      const segment = this.#free(block, page);
      if (!segment) return;
      const kernel = this.#kernelOf(segment.memory, source);
      kernel.ring_copy(this.#address(segment, page), at, this.#length(block, page), NO_RING);
      this.#arrivals.arrived(block, page, true);
    } finally {
      this.#presence.unlock();
    }
  }

  placeZeros(block: RamBlock, page: number): void {
    this.#presence.lock();
    try {
      const segment = this.#free(block, page);
      if (!segment) return;
      const to = this.#address(segment, page);
      this.#bytes.get(segment.memory)!.fill(0, to, to + this.#length(block, page));
      this.#arrivals.arrived(block, page, true);
    } finally {
      this.#presence.unlock();
    }
  }

  /** Where the page lies if it has not come: one that the guest has begun to use is not written again. */
  #free(block: RamBlock, page: number): RamSegment | undefined {
    return block.received.has(page) ? undefined : block.segmentAt(page * this.#ram.pageSize);
  }

  #address({ base, offset }: RamSegment, page: number): number {
    return base + page * this.#ram.pageSize - offset;
  }

  #length(block: RamBlock, page: number): number {
    return Math.min(block.hostPageSize, block.length - page * this.#ram.pageSize);
  }

  #kernelOf(memory: WebAssembly.Memory, source: WebAssembly.Memory): RamRecordsKernel {
    let kernels = this.#kernels.get(memory);
    if (!kernels) this.#kernels.set(memory, kernels = new Map());
    let kernel = kernels.get(source);
    if (!kernel) kernels.set(source, kernel = bindRamRecords(memory, source, this.#ram.tables));
    return kernel;
  }
}

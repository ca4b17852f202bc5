/**
 * Places pages that the kernel misses: a page appears whole, and whoever stands in its fault runs on
 * (QEMU `migration/postcopy-ram.c`, `qemu_ufd_copy_ioctl`).
 *
 * @module
 */
import { MigrationError } from "../errors.ts";
import { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { Errno, errnoName } from "../os/errno.ts";
import { addressOf, hostPageSize } from "../os/host_memory.ts";
import { copy, zeroPage } from "../os/userfaultfd.ts";
import type { MissingRamLayout } from "../ram/load_loop.ts";
import { Arrivals, type PageStore } from "./page_store.ts";

/** A {@linkcode PageStore} over a userfaultfd. */
export class FaultedPages implements PageStore {
  readonly #fd: number;
  readonly #arrivals: Arrivals;
  /** What the kernel provides whole, in bytes. */
  readonly #kernelPage = hostPageSize();
  readonly #addresses = new Map<WebAssembly.Memory, number>();

  /**
   * @param layout The RAM.
   * @param userfaultfd What watches it.
   */
  constructor(layout: MissingRamLayout, userfaultfd: number) {
    this.#fd = userfaultfd;
    this.#arrivals = new Arrivals(layout);
    for (const memory of new GuestRam(layout.ram).memories) this.#address(memory);
  }

  place(
    block: RamBlock,
    page: number,
    source: WebAssembly.Memory,
    at: number,
    count = 1,
  ): void {
    const from = this.#address(source) + at;
    if (block.hostPageSize === this.#kernelPage) return this.#provideRow(block, page, from, count);
    const { hostPageSize } = block;
    for (let i = 0; i < count; i++) {
      const first = page + i * this.#arrivals.pagesOf(block);
      if (!this.#provide(block, first, from + i * hostPageSize)) continue;
      this.#arrivals.arrived(block, first, true);
    }
  }

  /** In as few calls as can be: one costs as much as two pages. */
  #provideRow(block: RamBlock, page: number, from: number, count: number): void {
    const size = block.hostPageSize;
    for (let done = 0; done < count;) {
      const first = page + done * this.#arrivals.pagesOf(block);
      const offset = first / this.#arrivals.pagesOf(block) * size;
      const segment = block.segmentAt(offset);
      const to = this.#address(segment.memory) + segment.base + offset - segment.offset;
      const inside = Math.ceil((segment.offset + segment.length - offset) / size);
      const wanted = Math.min(count - done, inside);
      const result = copy(this.#fd, to, from + done * size, wanted * size);
      if (result > 0) {
        this.#arrivals.arrived(block, first, true, result / size);
        done += result / size;
      } else if (result === -Errno.EEXIST) done++;
      else if (result !== -Errno.EAGAIN) throw refusal(block, offset, result);
    }
  }

  placeZeros(block: RamBlock, page: number): void {
    if (this.#provide(block, page, undefined)) this.#arrivals.arrived(block, page, false);
  }

  /** @returns Whether the page was missing until now. */
  #provide(block: RamBlock, page: number, from: number | undefined): boolean {
    const offset = page / this.#arrivals.pagesOf(block) * block.hostPageSize;
    const segment = block.segmentAt(offset);
    const to = this.#address(segment.memory) + segment.base + offset - segment.offset;
    for (let done = 0; done < block.hostPageSize;) {
      const left = block.hostPageSize - done;
      const result = from === undefined
        ? zeroPage(this.#fd, to + done, left)
        : copy(this.#fd, to + done, from + done, left);
      if (result > 0) done += result;
      else if (result === -Errno.EEXIST) return false;
      else if (result !== -Errno.EAGAIN) throw refusal(block, offset, result);
    }
    return true;
  }

  #address(memory: WebAssembly.Memory): number {
    let address = this.#addresses.get(memory);
    if (address === undefined) {
      address = addressOf(memory)!;
      this.#addresses.set(memory, address);
    }
    return address;
  }
}

function refusal(block: RamBlock, offset: number, result: number): MigrationError {
  return new MigrationError(
    `The kernel does not take the page at 0x${offset.toString(16)} of RAM block "${block.name}" ` +
      `(${errnoName(result)})`,
  );
}

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
    for (let i = 0; i < count; i++) {
      const next = page + i * this.#arrivals.pagesOf(block);
      const isNew = this.#provide(block, next, from + i * block.hostPageSize);
      if (isNew) this.#arrivals.arrived(block, next, true);
    }
  }

  placeZeros(block: RamBlock, page: number): void {
    if (this.#provide(block, page, undefined)) this.#arrivals.arrived(block, page, false);
  }

  /** Provides pages that the kernel provides whole, with few calls; those that are there stay. */
  #provideRow(block: RamBlock, page: number, from: number, count: number): void {
    const { hostPageSize } = block;
    for (let done = 0; done < count;) {
      const first = page + done * this.#arrivals.pagesOf(block);
      const { offset, to, behind } = this.#placeOf(block, first);
      const wanted = Math.min((count - done) * hostPageSize, behind - to);
      const result = copy(this.#fd, to, from + done * hostPageSize, wanted);
      if (result > 0) {
        const placed = result / hostPageSize;
        this.#arrivals.arrived(block, first, true, placed);
        done += placed;
      } else if (result === -Errno.EEXIST) done++;
      else if (result !== -Errno.EAGAIN) throw refusal(block, offset, result);
    }
  }

  /** Provides one page, however many of the kernel's that is. @returns Whether it was missing until now. */
  #provide(block: RamBlock, page: number, from: number | undefined): boolean {
    const { offset, to } = this.#placeOf(block, page);
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

  /** A page's offset in its block, its address, and the address behind the last page of its segment. */
  #placeOf(
    block: RamBlock,
    page: number,
  ): { readonly offset: number; readonly to: number; readonly behind: number } {
    const { hostPageSize } = block;
    const offset = page / this.#arrivals.pagesOf(block) * hostPageSize;
    const { memory, base, length, offset: start } = block.segmentAt(offset);
    const address = this.#address(memory) + base;
    const behind = address + Math.ceil(length / hostPageSize) * hostPageSize;
    return { offset, to: address + offset - start, behind };
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

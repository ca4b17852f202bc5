/**
 * Where the pages of postcopy go, as the threads see it that receive them: whole pages of the host, each
 * at once, while the guest runs.
 *
 * @module
 */
import { Presence } from "../machine/presence.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import type { MissingRamLayout } from "../ram/load_loop.ts";
import { Blocktime, sharedTime } from "./blocktime.ts";

/** Places pages. A page of the host is named by its first target page. */
export interface PageStore {
  /**
   * Places a page of the host, unless it is there.
   * @param source The memory with its content.
   * @param at Where in that memory, in bytes.
   * @throws {MigrationError} If the kernel does not want it.
   */
  place(block: RamBlock, page: number, source: WebAssembly.Memory, at: number): void;
  /** Places zeros, unless the page is there. */
  placeZeros(block: RamBlock, page: number): void;
}

/** What all stores do when a page has been placed. */
export class Arrivals {
  readonly #blocktime: Blocktime;
  readonly #presence: Presence;
  readonly #pageSize: number;

  /** @param layout The RAM. */
  constructor(layout: MissingRamLayout) {
    this.#blocktime = new Blocktime(layout.blocktime);
    this.#presence = new Presence(layout.presence);
    this.#pageSize = layout.ram.pageSize;
  }

  /** How many target pages a page of the host has. */
  pagesOf(block: RamBlock): number {
    return block.hostPageSize / this.#pageSize;
  }

  /**
   * Says that a page is there.
   * @param written Whether it was written, and not only made to read as zeros.
   */
  arrived(block: RamBlock, page: number, written: boolean): void {
    const pages = Math.min(this.pagesOf(block), block.pageCount - page);
    if (pages === 1) {
      if (written) block.untouched.delete(page);
      block.received.add(page);
    } else {
      if (written) block.untouched.fill(page, pages, false);
      block.received.fill(page, pages, true);
    }
    this.#presence.placed();
    if (block.requested.delete(page)) this.#blocktime.end(block.index, page, sharedTime());
  }
}

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
   * Places pages of the host that lie side by side, except those that are there.
   * @param source The memory with their content.
   * @param at Where in that memory, in bytes.
   * @param count How many pages; 1 if it is not said.
   * @throws {MigrationError} If the kernel does not want them.
   */
  place(
    block: RamBlock,
    page: number,
    source: WebAssembly.Memory,
    at: number,
    count?: number,
  ): void;
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
   * Says that pages are there.
   * @param written Whether they were written, and not only made to read as zeros.
   * @param count How many, side by side.
   */
  arrived(block: RamBlock, page: number, written: boolean, count = 1): void {
    const each = this.pagesOf(block);
    const pages = Math.min(each * count, block.pageCount - page);
    if (pages === 1) {
      if (written) block.untouched.delete(page);
      block.received.add(page);
    } else {
      if (written) block.untouched.fill(page, pages, false);
      block.received.fill(page, pages, true);
    }
    this.#presence.placed();
    const end = page + pages;
    for (let asked = page; (asked = block.requested.next(asked, true, end)) < end; asked += each) {
      if (block.requested.delete(asked)) this.#blocktime.end(block.index, asked, sharedTime());
    }
  }
}

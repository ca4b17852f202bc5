/**
 * The pages that an XBZRLE source remembers having sent (wire-format §5.7; QEMU `migration/page_cache.c`):
 * direct-mapped, so each page has one place, which it shares with others. Whose page is where, the kernels
 * know, which look for pages and give them their places: `kernels/xbzrle.wat`.
 *
 * @module
 */
import { XBZRLE_ENTRY, XBZRLE_SLACK } from "../kernels/xbzrle.ts";
import { WASM_PAGE } from "../machine/ram_block.ts";

/** The cache's bytes are in memories of this size, in bytes: all that is asked for can be more than one. */
const MEMORY_SIZE = 1024 ** 3;

/** Where a page has its place. */
export interface XbzrlePlace {
  readonly memory: WebAssembly.Memory;
  /** Of the page's bytes. */
  readonly address: number;
  /** Of its entry in the memory's table, which is behind all pages. */
  readonly entry: number;
  /** How many pages from this one on have the places behind it. */
  readonly row: number;
}

/** Pages by their number in all RAM; one thread's own. */
export class XbzrleCache {
  /** How many places there are: a power of two. */
  readonly slots: number;
  /** The memories that hold the pages; each is made when it is first needed. */
  readonly #memories: WebAssembly.Memory[] = [];
  readonly #slotsPerMemory: number;

  /**
   * @param size The parameter `xbzrle-cache-size`, in bytes: a power of two.
   * @param pageSize The target page, in bytes.
   * @param pages How many pages there are in all; a larger cache would be of no use.
   */
  constructor(size: number, private readonly pageSize: number, pages: number) {
    const useful = 2 ** Math.ceil(Math.log2(Math.max(1, pages)));
    this.slots = Math.min(Math.max(1, Math.floor(size / pageSize)), useful);
    this.#slotsPerMemory = Math.min(this.slots, MEMORY_SIZE / pageSize);
  }

  /** The place of a page. @param page Its number in all RAM. */
  placeOf(page: number): XbzrlePlace {
    const slot = page % this.slots;
    const inside = slot % this.#slotsPerMemory;
    const index = (slot - inside) / this.#slotsPerMemory;
    return {
      memory: this.#memories[index] ??= this.#makeMemory(),
      address: inside * this.pageSize,
      entry: this.#table + inside * XBZRLE_ENTRY,
      row: this.#slotsPerMemory - inside,
    };
  }

  /** Where a memory's table begins: the kernels read behind pages. */
  get #table(): number {
    return this.#slotsPerMemory * this.pageSize + XBZRLE_SLACK;
  }

  #makeMemory(): WebAssembly.Memory {
    const bytes = this.#table + this.#slotsPerMemory * XBZRLE_ENTRY;
    const pages = Math.ceil(bytes / WASM_PAGE);
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  }
}

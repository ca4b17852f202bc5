/**
 * The pages that an XBZRLE source remembers having sent (wire-format §5.7; QEMU `migration/page_cache.c`):
 * direct-mapped, so each page has one place, which it shares with others. Who was used in this round or
 * the one before is not displaced.
 *
 * @module
 */
import { XBZRLE_SLACK } from "../kernels/xbzrle.ts";
import { WASM_PAGE } from "../machine/ram_block.ts";

/** A page that was used keeps its place for so many rounds. */
const LIFETIME = 2;
/** The cache's bytes are in memories of this size, in bytes: all that is asked for can be more than one. */
const MEMORY_SIZE = 1024 ** 3;

/** Pages by their number in all RAM; one thread's own. */
export class XbzrleCache {
  /** How many places there are: a power of two. */
  readonly slots: number;
  /** The memories that hold the pages; each is made when it is first needed. */
  readonly #memories: WebAssembly.Memory[] = [];
  readonly #slotsPerMemory: number;
  /** Whose page is in each place: its number plus one, 0 for nobody's. */
  readonly #pages: Float64Array;
  /** The round in which each was last used. */
  readonly #ages: Uint32Array;

  /**
   * @param size The parameter `xbzrle-cache-size`, in bytes: a power of two.
   * @param pageSize The target page, in bytes.
   * @param pages How many pages there are in all; a larger cache would be of no use.
   */
  constructor(size: number, private readonly pageSize: number, pages: number) {
    const useful = 2 ** Math.ceil(Math.log2(Math.max(1, pages)));
    this.slots = Math.min(Math.max(1, Math.floor(size / pageSize)), useful);
    this.#slotsPerMemory = MEMORY_SIZE / pageSize;
    this.#pages = new Float64Array(this.slots);
    this.#ages = new Uint32Array(this.slots);
  }

  /**
   * Looks for a page, which counts as using it.
   * @param page Its number in all RAM.
   * @param round The round's number.
   * @returns Its place, or -1 if it is not here.
   */
  find(page: number, round: number): number {
    const slot = page % this.slots;
    if (this.#pages[slot] !== page + 1) return -1;
    this.#ages[slot] = round;
    return slot;
  }

  /**
   * Gives a page its place; the caller puts the bytes there.
   * @returns The place, or -1 if another page has it that was used lately.
   */
  place(page: number, round: number): number {
    const slot = page % this.slots;
    const held = this.#pages[slot]!;
    if (held !== 0 && held !== page + 1 && this.#ages[slot]! + LIFETIME > round) return -1;
    this.#pages[slot] = page + 1;
    this.#ages[slot] = round;
    return slot;
  }

  /** The memory in which a place is. */
  memoryOf(slot: number): WebAssembly.Memory {
    const index = Math.floor(slot / this.#slotsPerMemory);
    return this.#memories[index] ??= this.#makeMemory(index);
  }

  /** Where in its memory a place is, in bytes. */
  addressOf(slot: number): number {
    return (slot % this.#slotsPerMemory) * this.pageSize;
  }

  #makeMemory(index: number): WebAssembly.Memory {
    const slots = Math.min(this.#slotsPerMemory, this.slots - index * this.#slotsPerMemory);
    const pages = Math.ceil((slots * this.pageSize + XBZRLE_SLACK) / WASM_PAGE);
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  }
}

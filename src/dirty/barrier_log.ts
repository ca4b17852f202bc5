/**
 * The dirty log that the guest keeps: it, and whoever else writes its RAM, marks the pages it writes in
 * the blocks' `barrier` bitmaps, which costs one atomic instruction a store and needs nothing of the host.
 *
 * **A guest marks after it has stored.** Between the two a `sync()` may pass and the page may be sent
 * without the store. If the mark had come first, that sync would have consumed it, and the store would
 * be lost; as it comes last, it is there for the sync after, and the page is sent again. Two things
 * more make this complete:
 * - A guest stops only between steps (its control word), never between a store and its mark. So when it
 *   has stopped, the last sync finds all marks.
 * - The mark is an atomic read-modify-write even if the bit is set already. To look first and leave it
 *   would be faster and wrong: a processor may look before its own earlier store is visible to others,
 *   see the bit just before a sync takes it away, and the page is sent without the store.
 *
 * @module
 */
import { StateError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { type DirtyLog, markDirtyWord } from "./dirty_log.ts";
import { markUntouched } from "./untouched.ts";

/** The log of a guest that calls {@linkcode markWritten}, or does in its own code what that does. */
export class BarrierLog implements DirtyLog {
  readonly kind = "barrier";
  readonly #ram: GuestRam;
  #running = false;

  /** @param ram What the guest writes to. */
  constructor(ram: GuestRam) {
    this.#ram = ram;
  }

  start(): Promise<void> {
    return Promise.try(() => {
      if (this.#running) throw new StateError("The dirty log runs already");
      // Marks of earlier stores. One that is wiped here was made before the start, its store too.
      this.#wipe();
      markUntouched(this.#ram);
      this.#running = true;
    });
  }

  sync(): Promise<number> {
    return Promise.try(() => {
      if (!this.#running) throw new StateError("The dirty log does not run");
      let fresh = 0;
      for (const block of this.#ram.blocks) fresh += collect(block);
      return fresh;
    });
  }

  stop(): Promise<void> {
    return Promise.try(() => {
      if (this.#running) this.#wipe();
      this.#running = false;
    });
  }

  #wipe(): void {
    for (const { barrier, pageCount } of this.#ram.blocks) barrier.fill(0, pageCount, false);
  }
}

/**
 * For guests: marks bytes as written. To be called **after** storing them and before the step ends.
 *
 * Guests in WebAssembly do the same themselves: `i32.atomic.rmw.or` into the memory
 * `block.barrier.layout.memory`, at `block.barrier.byteOffset + (page >>> 5) * 4`, of the bit
 * `1 << (page & 31)`.
 *
 * @param offset In bytes from the block's start.
 * @param length In bytes; nothing is marked if it is 0.
 * @throws {RangeError} If the range is not inside the block.
 */
export function markWritten(block: RamBlock, offset: number, length: number): void {
  if (offset < 0 || length < 0 || offset + length > block.length) {
    throw new RangeError(
      `Bytes ${offset}+${length} are outside block ${block.name} of ${block.length}`,
    );
  }
  if (length === 0) return;
  const pageSize = block.length / block.pageCount;
  const last = Math.floor((offset + length - 1) / pageSize);
  for (let page = Math.floor(offset / pageSize); page <= last;) {
    const bit = page & 31;
    const bits = Math.min(32 - bit, last + 1 - page);
    Atomics.or(block.barrier.words, page >>> 5, bits === 32 ? -1 : ((1 << bits) - 1) << bit);
    page += bits;
  }
}

/**
 * Moves a block's marks. A word is taken as a whole, so no mark is both missed and wiped; bits past the
 * block's end, which only a broken guest sets, stay behind.
 */
function collect(block: RamBlock): number {
  const { words } = block.barrier;
  let fresh = 0;
  for (let first = 0; first < block.pageCount; first += 32) {
    const word = first >>> 5;
    if (Atomics.load(words, word) === 0) continue;
    const pages = block.pageCount - first;
    const inside = pages < 32 ? (1 << pages) - 1 : -1;
    fresh += markDirtyWord(block, word, Atomics.exchange(words, word, 0) & inside);
  }
  return fresh;
}

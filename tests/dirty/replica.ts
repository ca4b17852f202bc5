/**
 * What a destination would have: a copy of RAM that gets exactly the pages that are dirty, in the
 * order that senders keep (clear the bit, then read the page).
 *
 * @module
 */
import { DigestRecorder } from "../../src/dirty/digest_recorder.ts";
import type { DigestTableLayout } from "../../src/dirty/digest_table.ts";
import type { GuestRam } from "../../src/machine/guest_ram.ts";

/** Takes the role of both senders and destination. */
export class Replica {
  readonly #ram: GuestRam;
  readonly #staging = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  readonly #recorder: DigestRecorder | undefined;
  readonly #blocks: readonly Uint8Array[];

  /**
   * @param digests Those of the hash log, if that is the log.
   * @param copies What {@linkcode copies} is in another thread.
   */
  constructor(
    ram: GuestRam,
    digests?: DigestTableLayout,
    readonly copies: readonly SharedArrayBuffer[] = ram.blocks.map(({ length }) =>
      new SharedArrayBuffer(length)
    ),
  ) {
    this.#ram = ram;
    this.#blocks = copies.map((copy) => new Uint8Array(copy));
    if (digests) this.#recorder = new DigestRecorder(ram, digests, this.#staging);
  }

  /** What a migration begins with: everything must be sent but what was never written. */
  begin(): void {
    for (const { dirty, untouched, pageCount } of this.#ram.blocks) {
      dirty.fill(0, pageCount, true);
      for (let page = untouched.next(0); page < pageCount; page = untouched.next(page + 1)) {
        dirty.delete(page);
      }
    }
  }

  /** Gets every page that is dirty. @returns How many. */
  send(): number {
    let sent = 0;
    for (const { dirty, index } of this.#ram.blocks) {
      for (let page = dirty.next(0); page < dirty.pageCount; page = dirty.next(page + 1)) {
        dirty.delete(page);
        this.#copy(index, page);
        sent++;
      }
    }
    return sent;
  }

  /** The first page that differs from RAM (of blocks in one segment), as `block/page`. */
  difference(): string | undefined {
    for (const block of this.#ram.blocks) {
      const right = new Int32Array(block.segments[0]!.memory.buffer, block.segments[0]!.base);
      const copy = new Int32Array(this.copies[block.index]!);
      for (let i = 0; i < copy.length; i++) {
        if (right[i] !== copy[i]) return `${block.name}/${Math.floor(i * 4 / this.#ram.pageSize)}`;
      }
    }
    return undefined;
  }

  #copy(block: number, page: number): void {
    const { pageSize, blocks } = this.#ram;
    let bytes = blocks[block]!.view(page * pageSize, pageSize);
    if (this.#recorder) {
      this.#recorder.take(block, page, 0);
      bytes = new Uint8Array(this.#staging.buffer, 0, pageSize);
    }
    this.#blocks[block]!.set(bytes, page * pageSize);
  }
}

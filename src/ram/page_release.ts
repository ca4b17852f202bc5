/**
 * The capability `release-ram`: gives the memory of pages back that a postcopy source has sent, once the
 * machine is the destination's (wire-format §5.6; QEMU `migration/ram.c`, `ram_release_page`). After that
 * nobody has them here, so what is lost on the way is lost.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { addressOf } from "../os/host_memory.ts";
import { discard } from "../os/madvise.ts";
import type { ClaimedRuns } from "./record_encoder.ts";

/** Numbers that each noted run takes: block, first page, count. */
const WORDS = 3;

/** The pages of one channel that are sent and not given back yet. */
export class PageRelease {
  #encoded = new Runs();
  #written = new Runs();

  /** @param ram Whose pages. */
  constructor(private readonly ram: GuestRam) {}

  /** Notes pages that are in the sending buffer. */
  note(block: RamBlock, claimed: ClaimedRuns): void {
    for (let run = 0; run < claimed.count; run++) {
      this.#encoded.add(block.index, claimed.runs[2 * run]!, claimed.runs[2 * run + 1]!);
    }
  }

  /** What was noted is being written. */
  writing(): void {
    [this.#encoded, this.#written] = [this.#written, this.#encoded];
  }

  /** It is written: its memory is not needed any more. */
  written(): void {
    const { words, length } = this.#written;
    for (let at = 0; at < length; at += WORDS) {
      this.#discard(this.ram.blocks[words[at]!]!, words[at + 1]!, words[at + 2]!);
    }
    this.#written.length = 0;
  }

  #discard(block: RamBlock, first: number, count: number): void {
    const { pageSize } = this.ram;
    for (let offset = first * pageSize, end = offset + count * pageSize; offset < end;) {
      const segment = block.segmentAt(offset);
      const inside = offset - segment.offset;
      const length = Math.min(end - offset, segment.length - inside);
      const address = addressOf(segment.memory);
      // Advice that is refused leaves the pages where they are.
      if (address !== undefined) discard(address + segment.base + inside, length);
      offset += length;
    }
  }
}

/** A list of runs that keeps its memory. */
class Runs {
  words = new Int32Array(WORDS * 256);
  length = 0;

  add(block: number, first: number, count: number): void {
    if (this.length + WORDS > this.words.length) {
      const larger = new Int32Array(2 * this.words.length);
      larger.set(this.words);
      this.words = larger;
    }
    this.words[this.length++] = block;
    this.words[this.length++] = first;
    this.words[this.length++] = count;
  }
}

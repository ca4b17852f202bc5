/// <reference lib="deno.worker" />
/**
 * A guest that writes all over its RAM, as fast as it can, until the stop word is set. It writes
 * sequence numbers in bursts, each within one page, and often puts back soon what was there before;
 * when it leaves a page, its last write must have been noted however often the page was sent meanwhile.
 * It marks what it writes, if asked to, and posts "stopped" at the end.
 *
 * @module
 */
import { markWritten } from "../../src/dirty/barrier_log.ts";
import { GuestRam, type GuestRamLayout } from "../../src/machine/guest_ram.ts";

/** What to write to. */
export interface WriterRequest {
  readonly layout: GuestRamLayout;
  /** Whether to mark what is written, for the barrier log. */
  readonly marks: boolean;
  /** Of the random numbers. */
  readonly seed: number;
  /** Word 0: not 0 to stop. Word 1: how many pages were written, or written again. */
  readonly control: Int32Array;
}

/** Random numbers below a limit (xorshift; a seed of 0 gives only zeros). */
export function randomNumbers(seed: number): (limit: number) => number {
  let state = seed | 0;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return Math.floor((state >>> 0) / 2 ** 32 * limit);
  };
}

self.onmessage = ({ data }: MessageEvent<WriterRequest>) => {
  const { layout, marks, seed, control } = data;
  const { blocks, pageSize } = new GuestRam(layout);
  const random = randomNumbers(seed);
  let sequence = 0;
  while (Atomics.load(control, 0) === 0) {
    const block = blocks[random(blocks.length)]!;
    const page = random(block.pageCount) * pageSize;
    for (let writes = 1 + random(100); writes > 0; writes--) {
      const offset = page + random(pageSize / 4) * 4;
      const bytes = block.view(offset, random(200) === 0 ? 20_000 : 4);
      const before = random(3) === 0 ? bytes.slice() : undefined;
      sequence++;
      for (let i = 0; i < bytes.length; i++) bytes[i] = sequence >>> (i % 4 * 8);
      if (marks) markWritten(block, offset, bytes.length);
      if (!before) continue;
      bytes.set(before);
      if (marks) markWritten(block, offset, bytes.length);
    }
    Atomics.add(control, 1, 1);
  }
  self.postMessage("stopped");
};

/// <reference lib="deno.worker" />
/**
 * A guest that marks each page of its first block once, one after the other.
 *
 * @module
 */
import { markWritten } from "../../src/dirty/barrier_log.ts";
import { GuestRam, type GuestRamLayout } from "../../src/machine/guest_ram.ts";

/** What to mark. */
export interface MarkerRequest {
  readonly layout: GuestRamLayout;
  /** One word: 1 when all is marked. */
  readonly done: Int32Array;
}

self.onmessage = ({ data: { layout, done } }: MessageEvent<MarkerRequest>) => {
  const { blocks, pageSize } = new GuestRam(layout);
  const block = blocks[0]!;
  for (let page = 0; page < block.pageCount; page++) markWritten(block, page * pageSize, 1);
  Atomics.store(done, 0, 1);
};

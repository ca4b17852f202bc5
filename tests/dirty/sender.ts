/// <reference lib="deno.worker" />
/**
 * A sending thread: copies dirty pages to a replica until it is told to finish and none is left, then
 * posts "finished".
 *
 * @module
 */
import type { DigestTableLayout } from "../../src/dirty/digest_table.ts";
import { GuestRam, type GuestRamLayout } from "../../src/machine/guest_ram.ts";
import { Replica } from "./replica.ts";

/** What to send, and where. */
export interface SenderRequest {
  readonly layout: GuestRamLayout;
  readonly digests: DigestTableLayout | undefined;
  readonly copies: readonly SharedArrayBuffer[];
  /** One word: not 0 to finish. */
  readonly finish: Int32Array;
}

self.onmessage = ({ data }: MessageEvent<SenderRequest>) => {
  const { layout, digests, copies, finish } = data;
  const replica = new Replica(new GuestRam(layout), digests, copies);
  for (let last = false; !last;) {
    last = Atomics.load(finish, 0) !== 0;
    if (replica.send() === 0 && !last) Atomics.wait(finish, 0, 0, 0.1);
  }
  self.postMessage("finished");
};

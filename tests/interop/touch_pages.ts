/**
 * A thread that reads every page of a block once, in a scattered order, as a guest would that runs
 * before its pages have come.
 *
 * @module
 */
import { GuestRam, type GuestRamLayout } from "../../src/machine/guest_ram.ts";
import { Presence } from "../../src/machine/presence.ts";
import { threadId } from "../../src/os/thread_id.ts";
import { serveWorker } from "../../src/threads/worker_port.ts";
import { TouchWord } from "./touch_word.ts";

/** What is read. */
export interface TouchStart {
  readonly ram: GuestRamLayout;
  readonly block: string;
  /** The memory of the {@linkcode Presence}. */
  readonly presence: SharedArrayBuffer;
  /** Whether to ask for each page. */
  readonly asks: boolean;
  /** {@linkcode TouchWord}s. */
  readonly progress: Int32Array<SharedArrayBuffer>;
}

/** Not a divisor of any number of pages there is. */
const STRIDE = 7919;

serveWorker<TouchStart>((start, port) => {
  const presence = new Presence(start.presence);
  presence.setThread(0, threadId());
  port.ready();
  const block = new GuestRam(start.ram).block(start.block)!;
  const bytes = block.view(0, block.length);
  const { progress } = start;
  const stopped = () => Atomics.load(progress, TouchWord.STOP) !== 0;
  for (let i = 0; i < block.pageCount && !stopped(); i++) {
    for (let allowed; (allowed = Atomics.load(progress, TouchWord.ALLOWED)) <= i && !stopped();) {
      Atomics.wait(progress, TouchWord.ALLOWED, allowed, 100);
    }
    const page = i * STRIDE % block.pageCount;
    if (start.asks) presence.waitFor(0, block, page, stopped);
    Atomics.load(bytes, page * 4096);
    Atomics.add(progress, TouchWord.READ, 1);
    Atomics.notify(progress, TouchWord.READ);
  }
});

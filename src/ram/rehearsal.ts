/**
 * What the main channel's thread does while it is in reserve, as those of multifd do (`multifd/rehearsal.ts`):
 * it sends, or receives, a stream of its own.
 *
 * @module
 */
import { GuestRam } from "../machine/guest_ram.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { JobKind, JobRing, Progress } from "../threads/job_ring.ts";
import { SharedStream } from "../threads/shared_stream.ts";
import type { Channel } from "../transport/channel.ts";
import { readToEnd, withRehearsalPair } from "../transport/rehearsal_pair.ts";
import { LoadLoop } from "./load_loop.ts";
import { saveLoop } from "./save_loop.ts";

const PAGE = 4096;
const PAGES = 128;
/** How many batches: so many that the engine thinks the loop worth compiling. */
const BATCHES = 64;

/** Sends bytes and pages over a channel and ends it. */
async function send(channel: Channel): Promise<void> {
  const ram = GuestRam.create([{ name: "rehearsal", length: 2 * PAGES * PAGE }]);
  const [block] = ram.blocks;
  for (let page = PAGES; page < 2 * PAGES; page++) block!.view(page * PAGE, 1)[0] = 1;
  block!.untouched.fill(PAGES, PAGES, false);
  block!.dirty.fill(0, block!.pageCount, true);
  const ring = JobRing.create(4 * BATCHES, new Progress());
  for (let i = 0; i < BATCHES; i++) {
    const first = 2 * PAGES * i / BATCHES;
    ring.pushBytes(new Uint8Array(16));
    ring.beginBatch(0);
    ring.addRun(first, 2 * PAGES / BATCHES);
    ring.publishBatch();
    ring.pushMark(JobKind.SYNC);
  }
  ring.pushMark(JobKind.END);
  await saveLoop(channel, {
    ...{ ram: ram.layout, ring: ring.layout, encoder: { detectZero: true } },
    counters: new ChannelCounters().buffer,
  });
  await channel.shutdown();
}

/** Sends a stream to nobody. */
export async function rehearseSaving(): Promise<void> {
  await withRehearsalPair((here, there) => Promise.all([send(here), readToEnd(there)]));
}

/** Receives a stream from nobody. @returns How many bytes it had. */
export async function rehearseLoading(): Promise<number> {
  const counters = new ChannelCounters();
  await withRehearsalPair(async (here, there) => {
    const { layout } = SharedStream.create();
    const loop = new LoadLoop(here, { stream: layout, counters: counters.buffer }, () => {
      throw new TypeError("A rehearsal has no guest");
    });
    await Promise.all([loop.fill(), send(there)]);
    loop.stop();
  });
  return counters.get("bytes");
}

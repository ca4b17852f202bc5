/**
 * What the thread of a source's return path does while it is in reserve (`rehearsal.ts`): it answers page
 * requests over a preempt channel.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { GuestRam } from "../machine/guest_ram.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { JobRing, Progress } from "../threads/job_ring.ts";
import { RequestQueue } from "../threads/request_queue.ts";
import type { Channel } from "../transport/channel.ts";
import { isPrompt } from "../transport/prompt.ts";
import { withRehearsalPair } from "../transport/rehearsal_pair.ts";
import { encodeReturnPathMessage, putPlainRequest } from "../wire/return_path.ts";
import { PreemptChannel } from "./preempt_channel.ts";
import { PAGE, PAGES, rehearsalRam, ROUNDS, TIMES } from "./rehearsal.ts";
import { ReturnPathLoop } from "./return_path_loop.ts";

/** How many requests follow one another before something else does. */
const BATCH = 16;
const REQUEST_BYTES = 16;
/** After how many the event loop has a turn. */
const TURN = 256;
/** How many requests there are in a round; to look for the next one is little work, and is to be optimized too. */
const REQUESTS = 3 * TIMES;

/**
 * Asks and answers.
 * @param isOver Whether to leave the rest.
 * @returns How many requests were answered; 0 without FFI.
 */
export async function rehearseAnswering(isOver: () => boolean): Promise<number> {
  const { ram, block } = rehearsalRam();
  for (let page = 0; page < PAGES; page++) block.view(page * PAGE, 1)[0] = page % 4;
  block.untouched.fill(0, PAGES, false);
  const progress = new Progress();
  const requests = RequestQueue.create(progress);
  requests.open();
  const ring = JobRing.create(4, progress);
  // As it is when it comes from another thread.
  const layout = structuredClone(ram.layout);
  const pages = {
    ...{ ram: layout, requests: requests.layout, ring: ring.layout },
    recovering: false,
  };
  const rehearse = async (source: Channel, asker: Channel, preempt: Channel, reader: Channel) => {
    const mark = encodeReturnPathMessage({ type: "PONG", value: 0 });
    const request = new Uint8Array(REQUEST_BYTES);
    const answers = new Uint8Array(2 * PAGE);
    let asked = 0;
    const ask = (hasTurned = false): void => {
      // Without a turn of the event loop nobody can say that it is over.
      if (!hasTurned && asked > 0 && asked % TURN === 0) return void setImmediate(ask, true);
      if (!isPrompt(asker) || !isPrompt(reader) || asked >= REQUESTS || isOver()) {
        return asker.close();
      }
      while (asked > 0 && reader.readNow(answers, 0)! > 0);
      for (const end = asked + BATCH; asked < end; asked++) {
        const page = asked % PAGES;
        // Some are on their way already.
        if (asked % 8 > 0) block.dirty.add(page);
        putPlainRequest(request, 0, { start: page * PAGE, length: PAGE });
        asker.writeNow(request, 0);
      }
      asker.writeNow(mark, 0);
    };
    // What is behind requests is told of once they are answered; then the next ones follow. They are read one
    // by one, as they are when guests need them.
    const loop = new ReturnPathLoop(source, pages, () => ask(), REQUEST_BYTES);
    const claims = new GuestRam(layout);
    const counters = new ChannelCounters();
    loop.preempt = new PreemptChannel(preempt, claims, requests, counters, { detectZero: true });
    const { name } = block;
    await asker.write(
      encodeReturnPathMessage({ type: "REQ_PAGES", block: name, start: 0, length: PAGE }),
    );
    ask();
    await loop.run();
  };
  for (let round = 0; round < ROUNDS; round++) {
    await withRehearsalPair((source, asker) =>
      withRehearsalPair((preempt, reader) => rehearse(source, asker, preempt, reader))
    );
  }
  return requests.count;
}

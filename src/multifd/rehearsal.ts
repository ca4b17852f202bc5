/**
 * What a channel's thread does while it is in reserve: it packs, sends and places some pages of its own, so
 * that the engine has compiled what the migration will need. Otherwise each thread does that at its beginning,
 * and with many channels a short migration consists of little else.
 *
 * @module
 */
import { GuestRam } from "../machine/guest_ram.ts";
import { type ChannelCounter, ChannelCounters } from "../threads/channel_counters.ts";
import { JobKind, JobRing, Progress } from "../threads/job_ring.ts";
import type { Channel } from "../transport/channel.ts";
import { readToEnd, withRehearsalPair } from "../transport/rehearsal_pair.ts";
import { INTRODUCTION_BYTES, packetPages } from "./packet.ts";
import { receiveLoop } from "./receive_loop.ts";
import { SendLoop } from "./send_loop.ts";
import { SyncGate } from "./sync_gate.ts";

const PAGE = 4096;
const PAGES = packetPages(PAGE);
/** How many batches: so many that the engine thinks the loops worth compiling. */
const BATCHES = 128;

/** RAM for three packets: untouched pages, pages of zeros, and pages with content. */
function smallRam(): GuestRam {
  return GuestRam.create([{ name: "rehearsal", length: 3 * PAGES * PAGE }]);
}

/** Sends pages over a channel and ends it. */
async function send(channel: Channel): Promise<void> {
  const ram = smallRam();
  const [block] = ram.blocks;
  const { dirty, untouched, pageCount } = block!;
  for (let page = 2 * PAGES; page < pageCount; page++) block!.view(page * PAGE, 1)[0] = 1;
  untouched.fill(PAGES, 2 * PAGES, false);
  const ring = JobRing.create(2 * BATCHES, new Progress());
  for (let i = 0; i < BATCHES; i++) {
    ring.beginBatch(0);
    ring.addRun(0, pageCount);
    ring.publishBatch();
  }
  ring.pushMark(JobKind.END);
  const makeDirty = () => dirty.fill(0, pageCount, true);
  makeDirty();
  // What is on its way may be sent again: so each batch finds something.
  const writeGather = (parts: readonly Uint8Array[]) => {
    makeDirty();
    return channel.writeGather(parts);
  };
  await new SendLoop({ writeGather }, {
    ...{ ram: ram.layout, ring: ring.layout, detectZero: true },
    compression: { method: "none", level: 0 },
    counters: new ChannelCounters().buffer,
    packetNumbers: new SharedArrayBuffer(8),
  }).run();
  await channel.shutdown();
}

/** Sends packets to nobody. */
export async function rehearseSending(): Promise<void> {
  await withRehearsalPair((here, there) => Promise.all([send(here), readToEnd(there)]));
}

/** Receives packets from nobody. @returns What was counted. */
export async function rehearseReceiving(): Promise<Record<ChannelCounter, number>> {
  const counters = new ChannelCounters();
  await withRehearsalPair(async (here, there) => {
    await there.write(new Uint8Array(INTRODUCTION_BYTES));
    const receiving = receiveLoop(here, {
      ...{ index: 0, ram: smallRam().layout, method: "none" },
      gate: SyncGate.create(1).buffer,
      counters: counters.buffer,
    });
    await Promise.all([receiving, send(there)]);
  });
  return counters.snapshot();
}

/**
 * What a channel's thread does while it is in reserve: it packs and places some pages of its own, so that
 * the engine has compiled what the migration will need. Otherwise each thread does that at its beginning,
 * and with many channels a short migration consists of little else.
 *
 * @module
 */
import { GuestRam } from "../machine/guest_ram.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { JobKind, JobRing, Progress } from "../threads/job_ring.ts";
import type { Channel } from "../transport/channel.ts";
import { INTRODUCTION_BYTES } from "./packet.ts";
import { receiveLoop } from "./receive_loop.ts";
import { SendLoop } from "./send_loop.ts";
import { SyncGate } from "./sync_gate.ts";

/** A packet's pages. */
const PAGES = 128;
const PAGE = 4096;
/** How many pairs of packets: so many that the engine thinks the loops worth compiling. */
const PAIRS = 128;

/** Leads nowhere; the same packets come from it again and again. */
class Rehearsed implements Channel {
  readonly peer = "nobody";
  #position = 0;

  /**
   * @param written Is called before each write is done.
   * @param packets What is read, so many times.
   */
  constructor(
    private readonly written: (parts: readonly Uint8Array[]) => void,
    private readonly packets: Uint8Array = new Uint8Array(INTRODUCTION_BYTES),
  ) {}

  read(into: Uint8Array): Promise<number> {
    const inside = this.#position - INTRODUCTION_BYTES;
    if (inside >= PAIRS * this.packets.length) return Promise.resolve(0);
    const from = Math.max(0, inside) % this.packets.length;
    const left = inside < 0 ? -inside : this.packets.length - from;
    const count = Math.min(into.length, left);
    if (inside >= 0) into.set(this.packets.subarray(from, from + count));
    this.#position += count;
    return Promise.resolve(count);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.writeGather([bytes]);
  }

  writeGather(parts: readonly Uint8Array[]): Promise<void> {
    this.written(parts);
    return Promise.resolve();
  }

  shutdown(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

/** RAM for a packet of zero pages and one of pages with content. */
function smallRam(): GuestRam {
  return GuestRam.create([{ name: "rehearsal", length: 2 * PAGES * PAGE }]);
}

/** Sends packets to nobody. @returns Two of them: zero pages, and pages with content. */
export async function rehearseSending(): Promise<Uint8Array> {
  const ram = smallRam();
  const [block] = ram.blocks;
  const { dirty, untouched, pageCount } = block!;
  for (let page = PAGES; page < pageCount; page++) block!.view(page * PAGE, 1)[0] = 1;
  untouched.fill(PAGES, PAGES, false);
  const ring = JobRing.create(2 * PAIRS, new Progress());
  for (let i = 0; i < PAIRS; i++) {
    ring.beginBatch(0);
    ring.addRun(0, pageCount);
    ring.publishBatch();
  }
  ring.pushMark(JobKind.END);
  let packets = new Uint8Array(0);
  dirty.fill(0, pageCount, true);
  const channel = new Rehearsed((parts) => {
    if (packets.length === 0) packets = joined(parts);
    dirty.fill(0, pageCount, true);
  });
  await new SendLoop(channel, {
    ...{ ram: ram.layout, ring: ring.layout, detectZero: true },
    compression: { method: "none", level: 0 },
    counters: new ChannelCounters().buffer,
    packetNumbers: new SharedArrayBuffer(8),
  }).run();
  return packets;
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Receives packets from nobody. */
export async function rehearseReceiving(): Promise<void> {
  const packets = await rehearseSending();
  await receiveLoop(new Rehearsed(() => {}, packets), {
    ...{ index: 0, ram: smallRam().layout, method: "none" },
    gate: SyncGate.create(1).buffer,
    counters: new ChannelCounters().buffer,
  });
}

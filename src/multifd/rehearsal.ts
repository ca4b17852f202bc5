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
/** How many packets: so many that the engine thinks the loops worth compiling. */
const PACKETS = 128;

/** Leads nowhere; the same packet comes from it again and again. */
class Rehearsed implements Channel {
  readonly peer = "nobody";
  #position = 0;

  /**
   * @param written Is called before each write is done.
   * @param packet What is read, so many times.
   */
  constructor(
    private readonly written: (parts: readonly Uint8Array[]) => void,
    private readonly packet: Uint8Array = new Uint8Array(INTRODUCTION_BYTES),
  ) {}

  read(into: Uint8Array): Promise<number> {
    const inside = this.#position - INTRODUCTION_BYTES;
    if (inside >= PACKETS * this.packet.length) return Promise.resolve(0);
    const from = Math.max(0, inside) % this.packet.length;
    const left = inside < 0 ? -inside : this.packet.length - from;
    const count = Math.min(into.length, left);
    if (inside >= 0) into.set(this.packet.subarray(from, from + count));
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

/** Sends packets to nobody. @returns One of them. */
export async function rehearseSending(): Promise<Uint8Array> {
  const ram = GuestRam.create([{ name: "rehearsal", length: PAGES * PAGE }]);
  const { dirty, pageCount } = ram.blocks[0]!;
  const ring = JobRing.create(2 * PACKETS, new Progress());
  for (let i = 0; i < PACKETS; i++) {
    ring.beginBatch(0);
    ring.addRun(0, pageCount);
    ring.publishBatch();
  }
  ring.pushMark(JobKind.END);
  let packet = new Uint8Array(0);
  dirty.fill(0, pageCount, true);
  const channel = new Rehearsed((parts) => {
    if (packet.length === 0) packet = joined(parts);
    dirty.fill(0, pageCount, true);
  });
  await new SendLoop(channel, {
    ...{ ram: ram.layout, ring: ring.layout, detectZero: false },
    compression: { method: "none", level: 0 },
    counters: new ChannelCounters().buffer,
    packetNumbers: new SharedArrayBuffer(8),
  }).run();
  return packet;
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
  const packet = await rehearseSending();
  const ram = GuestRam.create([{ name: "rehearsal", length: PAGES * PAGE }]);
  await receiveLoop(new Rehearsed(() => {}, packet), {
    ...{ index: 0, ram: ram.layout, method: "none" },
    gate: SyncGate.create(1).buffer,
    counters: new ChannelCounters().buffer,
  });
}

/**
 * What the worker of a receiving multifd channel does: read packets until the source ends the connection,
 * and stand still at the gate after each SYNC.
 *
 * @module
 */
import { asMigrationError } from "../errors.ts";
import { GuestRam, type GuestRamLayout } from "../machine/guest_ram.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import type { Channel, ChannelSpec } from "../transport/channel.ts";
import { INTRODUCTION_BYTES } from "./packet.ts";
import { PacketReader, type PacketReaderOptions } from "./packet_reader.ts";
import { SyncGate } from "./sync_gate.ts";

/** What the loop works with. */
export interface ReceiveLoopInput extends PacketReaderOptions {
  /** The channel's number. */
  readonly index: number;
  readonly ram: GuestRamLayout;
  /** Shared memory of the {@linkcode SyncGate}. */
  readonly gate: SharedArrayBuffer;
  /** Shared memory of {@linkcode ChannelCounters}. */
  readonly counters: SharedArrayBuffer;
}

/** What the worker is started with. */
export interface MultifdReceiveStart extends ReceiveLoopInput {
  readonly channel: ChannelSpec;
}

/**
 * Runs until the source ends the connection between two packets, or the gate is stopped.
 * @param channel The connection, whose introduction comes first again; it stays open.
 * @throws {StreamFormatError | IncompatibleError} If a packet is wrong.
 * @throws {ConnectionLostError} If the connection broke, or ended inside a packet.
 */
export async function receiveLoop(channel: Channel, input: ReceiveLoopInput): Promise<void> {
  await skipIntroduction(channel);
  const gate = new SyncGate(input.gate);
  const counters = new ChannelCounters(input.counters);
  const reader = new PacketReader(channel, new GuestRam(input.ram), input);
  let counted = { bytes: 0, packets: 0, normalPages: 0, zeroPages: 0, waitMs: 0 };
  try {
    for (;;) {
      const { position } = reader;
      const sync = await readAt(reader, position);
      const { bytes, packets, normalPages, zeroPages, waitMs } = reader;
      counters.add("bytes", bytes - counted.bytes);
      counters.add("packets", packets - counted.packets);
      counters.add("normalPages", normalPages - counted.normalPages);
      counters.add("zeroPages", zeroPages - counted.zeroPages);
      counters.add("waitMs", waitMs - counted.waitMs);
      counted = { bytes, packets, normalPages, zeroPages, waitMs };
      if (sync === undefined) return;
      if (sync && !wait(gate, input.index, counters)) return;
    }
  } finally {
    reader.free();
  }
}

/** Reads a packet; an error says where it began. */
async function readAt(reader: PacketReader, position: number): Promise<boolean | undefined> {
  try {
    return await reader.read();
  } catch (error) {
    throw asMigrationError(error).at({ offset: INTRODUCTION_BYTES + position });
  }
}

function wait(gate: SyncGate, index: number, counters: ChannelCounters): boolean {
  const before = performance.now();
  const goOn = gate.arrive(index);
  counters.add("idleMs", performance.now() - before);
  return goOn;
}

/** The main thread has looked at it; the channel delivers it again. */
async function skipIntroduction(channel: Channel): Promise<void> {
  const introduction = new Uint8Array(INTRODUCTION_BYTES);
  for (let at = 0; at < introduction.length;) {
    const count = await channel.read(introduction.subarray(at));
    if (count === 0) return;
    at += count;
  }
}

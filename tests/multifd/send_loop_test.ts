import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { PacketReader } from "../../src/multifd/packet_reader.ts";
import { SendLoop, type SendLoopInput } from "../../src/multifd/send_loop.ts";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";
import { JobKind, JobRing, Progress } from "../../src/threads/job_ring.ts";
import { MemoryChannel } from "../ram/fixtures/channels.ts";
import { assertSameRam, patternedRam, SPECS } from "../ram/fixtures/patterned_ram.ts";
import { packet, syncPacket } from "./fixtures/packets.ts";

function setUp(ram: GuestRam, channel = new MemoryChannel()) {
  const ring = JobRing.create(16, new Progress());
  const counters = new ChannelCounters();
  const input: SendLoopInput = {
    ...{ ram: ram.layout, ring: ring.layout, counters: counters.buffer, detectZero: true },
    compression: { method: "none", level: 0 },
    packetNumbers: new SharedArrayBuffer(8),
  };
  return { ring, counters, input, channel, loop: new SendLoop(channel, input) };
}

function pushBatch(ring: JobRing, block: number, ...runs: [number, number][]): void {
  ring.beginBatch(block);
  for (const [first, count] of runs) ring.addRun(first, count);
  ring.publishBatch();
}

Deno.test("SendLoop sends batches, a SYNC behind them, and ends", async () => {
  const ram = patternedRam(true);
  const { ring, counters, channel, loop } = setUp(ram);
  pushBatch(ring, 0, [0, 5]);
  pushBatch(ring, 1, [0, 200]);
  pushBatch(ring, 2, [0, 10], [10, 22]);
  ring.pushMark(JobKind.SYNC);
  ring.pushMark(JobKind.END);
  assertEquals(await loop.run(), true);
  assertEquals(ring.pending, 0);
  assertEquals(channel.written.slice(-1344), withNumber(syncPacket(), 4));

  const received = GuestRam.create(SPECS);
  const reader = new PacketReader(new MemoryChannel([channel.written]), received, {
    method: "none",
  });
  const syncs: boolean[] = [];
  for (let sync; (sync = await reader.read()) !== undefined;) syncs.push(sync);
  assertEquals(syncs, [false, false, false, false, true]);
  assertSameRam(received, ram);
  const { bytes, packets, normalPages, zeroPages } = counters.snapshot();
  assertEquals([bytes, packets], [channel.written.length, 5]);
  assertEquals([normalPages + zeroPages, normalPages], [237, reader.normalPages]);
});

function withNumber(bytes: Uint8Array<ArrayBuffer>, number: number): Uint8Array<ArrayBuffer> {
  new DataView(bytes.buffer).setUint32(28, number);
  return bytes;
}

Deno.test("SendLoop sends only pages that are still dirty, and each once", async () => {
  const ram = patternedRam(true);
  const [block] = ram.blocks;
  block!.dirty.delete(1);
  const { ring, channel, loop } = setUp(ram);
  pushBatch(ring, 0, [0, 4]);
  pushBatch(ring, 0, [0, 5]);
  ring.pushMark(JobKind.END);
  await loop.run();
  assertEquals(block!.dirty.count(), 0);
  const offsets: number[] = [];
  const view = new DataView(channel.written.buffer);
  for (let at = 0; at < channel.written.length;) {
    const normal = view.getUint32(at + 16);
    const count = normal + view.getUint32(at + 32);
    for (let i = 0; i < count; i++) {
      offsets.push(Number(view.getBigUint64(at + 320 + 8 * i)) / 4096);
    }
    at += 1344 + normal * 4096;
  }
  assertEquals(offsets.toSorted(), [0, 2, 3, 4]);
});

Deno.test("SendLoop sends nothing for a batch of which all is sent already", async () => {
  const ram = patternedRam(true);
  ram.blocks[0]!.dirty.fill(0, 5, false);
  const { ring, channel, loop } = setUp(ram);
  pushBatch(ring, 0, [0, 5]);
  ring.pushMark(JobKind.SYNC);
  ring.pushMark(JobKind.END);
  await loop.run();
  assertEquals(channel.written, syncPacket());
});

Deno.test("SendLoop stops when its ring is stopped, and says so", async () => {
  const { ring, loop } = setUp(patternedRam(true));
  ring.stop();
  assertEquals(await loop.run(), false);
});

Deno.test("SendLoop fails with its connection", async () => {
  const { ring, loop } = setUp(patternedRam(true), new MemoryChannel([], 1));
  pushBatch(ring, 0, [0, 5]);
  pushBatch(ring, 1, [0, 200]);
  ring.pushMark(JobKind.END);
  await assertRejects(() => loop.run(), ConnectionLostError);
  assert(ring.pending > 0, "what was not written is not done");
});

Deno.test("SendLoop numbers packets over all channels", async () => {
  const ram = patternedRam(true);
  const { ring, input, channel, loop } = setUp(ram);
  Atomics.store(new BigInt64Array(input.packetNumbers), 0, 41n);
  pushBatch(ring, 0, [0, 1]);
  ring.pushMark(JobKind.END);
  await loop.run();
  assertEquals(channel.written, withNumber(packet({ block: "low", zero: [0] }), 41));
});

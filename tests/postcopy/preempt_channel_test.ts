import "../support/load_libc.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { PreemptChannel } from "../../src/postcopy/preempt_channel.ts";
import { libcProblem } from "../../src/os/libc.ts";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";
import { Progress } from "../../src/threads/job_ring.ts";
import { RequestQueue } from "../../src/threads/request_queue.ts";
import type { Channel } from "../../src/transport/channel.ts";
import { connectedChannels, readAll } from "../transport/connected.ts";
import { MemoryChannel } from "../ram/fixtures/channels.ts";
import { decodeAll } from "../ram/fixtures/decode_all.ts";
import { assertSameRam, patternedRam, SPECS } from "../ram/fixtures/patterned_ram.ts";

function setUp(failsAfter?: number) {
  const channel = new MemoryChannel([], failsAfter);
  return { channel, ...open(channel) };
}

function open(channel: Channel) {
  const ram = patternedRam(false);
  const requests = RequestQueue.create(new Progress());
  const counters = new ChannelCounters();
  const preempt = new PreemptChannel(channel, ram, requests, counters, { detectZero: true });
  return { ram, requests, counters, preempt };
}

Deno.test("PreemptChannel sends records and nothing else, in writes of a bounded size", async () => {
  const { ram, channel, preempt, counters } = setUp();
  await preempt.send(ram.blocks[1]!, 0, 200);
  await preempt.send(ram.blocks[2]!, 3, 29);
  await preempt.send(ram.blocks[0]!, 0, 5);
  await preempt.send(ram.blocks[2]!, 0, 32);
  const received = GuestRam.create(SPECS);
  decodeAll(received, channel.written, 65_536);
  assertSameRam(received, ram);
  assertEquals(counters.get("normalPages") + counters.get("zeroPages"), 237);
  assertEquals(counters.get("bytes"), channel.written.length);
  for (const { length } of channel.writes) assert(length < 70_000);
});

Deno.test("PreemptChannel leaves what others have claimed alone", async () => {
  const { ram, channel, preempt } = setUp();
  ram.blocks[1]!.dirty.fill(0, 200, false);
  await preempt.send(ram.blocks[1]!, 10, 20);
  assertEquals(channel.writes, []);
});

Deno.test("PreemptChannel ends with the record that old QEMUs wait for", async () => {
  const { channel, preempt } = setUp();
  await preempt.sendEnd();
  assertEquals(channel.written.toHex(), "0000000000000010");
});

Deno.test("Pages that could not be written are not taken for sent", async () => {
  const { ram, preempt, requests } = setUp(1);
  await preempt.send(ram.blocks[0]!, 0, 1);
  assertEquals(requests.busy, false);
  await assertRejects(async () => await preempt.send(ram.blocks[1]!, 0, 1), ConnectionLostError);
  assertEquals(requests.busy, true);
});

Deno.test({
  name:
    "What a connection takes at once is sent without a turn of the event loop, and the rest when it has room",
  ignore: libcProblem() !== undefined,
  async fn() {
    const [ours, peers] = await connectedChannels();
    const { ram, preempt, requests } = open(ours);
    const block = ram.blocks[1]!;
    assertEquals(preempt.send(block, 0, 1), undefined);
    assertEquals(requests.busy, false);
    // Again and again, until nobody takes it.
    let sending: Promise<void> | undefined;
    for (let tries = 0; !sending && tries < 1000; tries++) {
      block.dirty.fill(0, block.pageCount, true);
      sending = preempt.send(block, 0, block.pageCount);
    }
    assert(sending);
    assertEquals(requests.busy, true);
    const received = readAll(peers);
    await sending;
    // Nothing is lost where one way of writing goes over into the other.
    preempt.close();
    const copy = GuestRam.create(SPECS);
    decodeAll(copy, await received, 65_536);
    assertEquals(copy.blocks[1]!.view(0, block.length), block.view(0, block.length));
    peers.close();
  },
});

Deno.test({
  name: "A connection that is lost while nobody takes pages, or before, leaves them not sent",
  ignore: libcProblem() !== undefined,
  async fn() {
    for (const isStalled of [true, false]) {
      const [ours, peers] = await connectedChannels();
      const { ram, preempt, requests } = open(ours);
      const block = ram.blocks[1]!;
      if (!isStalled) peers.close();
      let sending: Promise<void> | undefined;
      for (let tries = 0; !sending && tries < 1000; tries++) {
        block.dirty.fill(0, block.pageCount, true);
        sending = preempt.send(block, 0, block.pageCount);
      }
      assert(sending);
      if (isStalled) peers.close();
      await assertRejects(() => sending, ConnectionLostError);
      assertEquals(requests.busy, true);
      preempt.close();
    }
  },
});

import { assertEquals, assertRejects } from "@std/assert";
import { concat } from "@std/bytes";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { receiveLoop, type ReceiveLoopInput } from "../../src/multifd/receive_loop.ts";
import { SyncGate } from "../../src/multifd/sync_gate.ts";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";
import { MemoryChannel } from "../ram/fixtures/channels.ts";
import { introduction, packet, pagesOf, syncPacket } from "./fixtures/packets.ts";
import { contentOf } from "./fixtures/ram.ts";

const PAGES = packet({ block: "b", normal: [0, 8192], zero: [4096], payload: pagesOf(1, 3) });

function setUp() {
  const ram = GuestRam.create([{ name: "b", length: 4 * 4096 }]);
  const gate = SyncGate.create(1);
  const counters = new ChannelCounters();
  const input: ReceiveLoopInput = {
    ...{ index: 0, ram: ram.layout, gate: gate.buffer, counters: counters.buffer },
    method: "none",
  };
  const receive = async (...parts: Uint8Array<ArrayBuffer>[]) =>
    await receiveLoop(new MemoryChannel([concat([introduction(0), ...parts])]), input);
  return { ram, gate, counters, receive };
}

Deno.test("receiveLoop() places pages until the source ends the channel, and counts", async () => {
  const { ram, counters, receive } = setUp();
  await receive(PAGES, packet({ block: "b", zero: [3 * 4096] }));
  const zeros = new Uint8Array(4096);
  assertEquals(contentOf(ram, "b"), concat([pagesOf(1), zeros, pagesOf(3), zeros]));
  const { bytes, packets, normalPages, zeroPages } = counters.snapshot();
  assertEquals([bytes, packets, normalPages, zeroPages], [2 * 1344 + 8192, 2, 2, 2]);
});

Deno.test("receiveLoop() arrives at the gate after each SYNC, and goes on when it is let", async () => {
  const { gate, counters, receive } = setUp();
  // Both marks are met in advance, on paper: this thread cannot meet while it waits.
  Atomics.store(new Int32Array(gate.buffer), 0, 2);
  await receive(PAGES, syncPacket(), PAGES, syncPacket(), PAGES);
  assertEquals(counters.get("packets"), 5);
  assertEquals(new Int32Array(gate.buffer)[32], 2);
});

Deno.test("receiveLoop() ends at a gate that is stopped", async () => {
  const { gate, counters, receive } = setUp();
  gate.stop();
  await receive(PAGES, syncPacket(), PAGES);
  assertEquals(counters.get("packets"), 2, "nothing behind the SYNC was read");
});

Deno.test("receiveLoop() says where in the channel a bad packet begins", async () => {
  const { receive } = setUp();
  const error = await assertRejects(
    () => receive(PAGES, packet({ version: 3 })),
    StreamFormatError,
    "version 3",
  );
  assertEquals(error.place, { offset: 64 + PAGES.length });
  const cut = await assertRejects(
    () => receive(PAGES, PAGES.slice(0, 2000)),
    ConnectionLostError,
    "inside a packet",
  );
  assertEquals(cut.place, { offset: 64 + PAGES.length });
});

Deno.test("receiveLoop() ends with a connection that ends inside its introduction", async () => {
  const { counters } = setUp();
  const input = setUp();
  await receiveLoop(new MemoryChannel([introduction(0).slice(0, 40)]), {
    ...{ index: 0, ram: input.ram.layout, gate: input.gate.buffer, counters: counters.buffer },
    method: "none",
  });
  assertEquals(counters.get("packets"), 0);
});

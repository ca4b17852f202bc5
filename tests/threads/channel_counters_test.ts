import { assertEquals } from "@std/assert";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";

Deno.test("ChannelCounters of the same memory are the same counters", () => {
  const worker = new ChannelCounters();
  const main = new ChannelCounters(worker.buffer);
  assertEquals(new Set(Object.values(main.snapshot())), new Set([0]));
  worker.add("bytes", 1000);
  worker.add("bytes", 24);
  worker.add("zeroPages", 3);
  worker.add("idleMs", 0.25);
  assertEquals([main.get("bytes"), main.get("zeroPages"), main.get("normalPages")], [1024, 3, 0]);
  assertEquals(main.snapshot().idleMs, 0.25);
});

Deno.test("ChannelCounters count beyond 32 bits exactly", () => {
  const counters = new ChannelCounters();
  counters.add("bytes", 2 ** 52);
  counters.add("bytes", 1);
  assertEquals(counters.get("bytes"), 2 ** 52 + 1);
});

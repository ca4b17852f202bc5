import { assert, assertEquals, assertThrows } from "@std/assert";
import { takeBatches } from "../../src/mapped_ram/batch_loop.ts";
import { ChannelCounters } from "../../src/threads/channel_counters.ts";
import { JobKind, JobRing, Progress } from "../../src/threads/job_ring.ts";

function ringWith(...blocks: number[]): JobRing {
  const ring = JobRing.create(8, new Progress());
  for (const block of blocks) {
    ring.beginBatch(block);
    ring.addRun(0, 1);
    ring.publishBatch();
  }
  return ring;
}

Deno.test("takeBatches() takes batches in their order and ends with END, and what is behind it stays", () => {
  const ring = ringWith(3, 1);
  ring.pushMark(JobKind.SYNC);
  ring.pushMark(JobKind.END);
  ring.pushMark(JobKind.SYNC);
  const taken: number[] = [];
  takeBatches(ring, new ChannelCounters(), () => void taken.push(ring.block));
  assertEquals(taken, [3, 1]);
  assertEquals(ring.pending, 1);
});

Deno.test("takeBatches() ends when the ring is stopped, with a batch left undone", () => {
  const ring = ringWith(0, 1);
  takeBatches(ring, new ChannelCounters(), () => ring.stop());
  assertEquals(ring.pending, 1);
});

Deno.test("takeBatches() leaves the batch that failed in the ring", () => {
  const ring = ringWith(0);
  assertThrows(() =>
    takeBatches(ring, new ChannelCounters(), () => {
      throw new RangeError("no");
    }), RangeError);
  assert(ring.pending === 1);
});

import { assertEquals, assertThrows } from "@std/assert";
import { JobKind, JobRing, Progress } from "../../src/threads/job_ring.ts";

Deno.test("JobRing gives jobs in the order they were pushed", () => {
  const ring = JobRing.create(4, new Progress());
  for (let turn = 0; turn < 10; turn++) {
    ring.beginBatch(turn);
    ring.addRun(turn * 1000, 3);
    ring.addRun(turn * 1000 + 7, 1);
    ring.publishBatch();
    ring.pushBytes(Uint8Array.of(turn, 2, 3));
    ring.pushMark(JobKind.SYNC);
    assertEquals(ring.pending, 3);

    assertEquals([ring.kind, ring.block, ring.runs], [JobKind.BATCH, turn, 2]);
    assertEquals([ring.runFirst(1), ring.runCount(1)], [turn * 1000 + 7, 1]);
    ring.pop();
    assertEquals(ring.kind, JobKind.BYTES);
    assertEquals([...ring.bytes()], [turn, 2, 3]);
    ring.pop();
    assertEquals(ring.kind, JobKind.SYNC);
    ring.pop();
    assertEquals([ring.pending, ring.free], [0, 4]);
  }
});

Deno.test("JobRing refuses more than it has room for", () => {
  const ring = JobRing.create(2, new Progress());
  ring.pushMark(JobKind.SYNC);
  ring.pushMark(JobKind.SYNC);
  assertThrows(() => ring.pushMark(JobKind.SYNC), RangeError, "full");
  ring.pop();
  assertThrows(() => ring.pushBytes(new Uint8Array(2000)), RangeError);
  ring.beginBatch(0);
  assertThrows(() => ring.addRun(0, 513), RangeError);
  assertThrows(() => ring.addRun(0, 513, 1), RangeError);
  ring.addRun(0, 512, 500);
  ring.addRun(1000, 512, 12);
  assertThrows(() => ring.addRun(2000, 1), RangeError);
});

Deno.test("JobRing.waitForJob() returns at once after stop(), before or during the wait", async () => {
  const ring = JobRing.create(2, new Progress());
  ring.stop();
  assertEquals(ring.waitForJob(), false);

  const waiting = JobRing.create(2, new Progress());
  const worker = new Worker(new URL("./job_ring_worker.ts", import.meta.url), { type: "module" });
  const message = () =>
    new Promise<unknown>((resolve) => worker.onmessage = (event) => resolve(event.data));
  const ready = message();
  worker.postMessage(waiting.layout);
  await ready;
  const done = message();
  waiting.stop();
  assertEquals(await done, { jobs: 0, pages: 0 });
  worker.terminate();
});

Deno.test("JobRing hands a hundred thousand batches to another thread without losing one", async () => {
  const progress = new Progress();
  const ring = JobRing.create(8, progress);
  const worker = new Worker(new URL("./job_ring_worker.ts", import.meta.url), { type: "module" });
  const message = () =>
    new Promise<unknown>((resolve) => worker.onmessage = (event) => resolve(event.data));
  const ready = message();
  worker.postMessage(ring.layout);
  await ready;
  const done = message();
  for (let i = 0; i < 100_000; i++) {
    for (;;) {
      const seen = progress.count;
      if (ring.free > 0) break;
      await progress.changed(seen);
    }
    ring.beginBatch(0);
    ring.addRun(i, 1 + i % 128);
    ring.publishBatch();
  }
  while (ring.free === 0) await progress.changed(progress.count, 10);
  ring.pushMark(JobKind.END);
  let pages = 0;
  for (let i = 0; i < 100_000; i++) pages += 1 + i % 128;
  assertEquals(await done, { jobs: 100_000, pages });
  worker.terminate();
});

Deno.test("JobRing.waitForJob() also returns for something else that there is to do", () => {
  const ring = JobRing.create(2, new Progress());
  let looks = 0;
  assertEquals(ring.waitForJob(() => ++looks === 3), true);
  assertEquals([looks, ring.pending], [3, 0]);
  // A worker that sleeps is woken by any thread: the bell has rung, so this does not block.
  ring.wake();
  ring.stop();
  assertEquals(ring.waitForJob(() => false), false);
});

Deno.test("JobRing carries positions in files of any size", () => {
  const ring = JobRing.create(2, new Progress());
  for (const position of [0, 5, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 7 * 2 ** 40 + 3]) {
    ring.pushSeek(position);
    assertEquals([ring.kind, ring.position], [JobKind.SEEK, position]);
    ring.pop();
  }
});

Deno.test("JobRing.pop() tells the producer of each job once half of the ring is free", () => {
  const progress = new Progress();
  const ring = JobRing.create(4, progress);
  for (let i = 0; i < 4; i++) ring.pushMark(JobKind.SYNC);
  const counts = [3, 2, 1, 0].map((left) => {
    ring.pop();
    return [left, progress.count];
  });
  assertEquals(counts, [[3, 0], [2, 1], [1, 2], [0, 3]]);
});

import { assertEquals, assertThrows } from "@std/assert";
import { Progress } from "../../src/threads/job_ring.ts";
import { RequestQueue, REQUESTS_MAX } from "../../src/threads/request_queue.ts";

Deno.test("RequestQueue gives requests out in their order, in every thread that opens it", () => {
  const here = RequestQueue.create(new Progress());
  const there = new RequestQueue(here.layout);
  assertEquals([here.pending, there.take()], [0, undefined]);
  // More than once around.
  for (let i = 0; i < 3 * REQUESTS_MAX; i += 2) {
    here.push(1, i, 1);
    here.push(2, i + 1, 16);
    assertEquals(there.pending, 2);
    assertEquals(there.take(), { block: 1, first: i, count: 1 });
    assertEquals(there.take(), { block: 2, first: i + 1, count: 16 });
  }
  assertEquals(there.take(), undefined);
});

Deno.test("RequestQueue is bounded, and who waits for room gets it", async () => {
  const queue = RequestQueue.create(new Progress());
  for (let i = 0; i < REQUESTS_MAX; i++) {
    assertEquals(queue.hasRoom, true);
    queue.push(0, i, 1);
  }
  assertEquals(queue.hasRoom, false);
  assertThrows(() => queue.push(0, 0, 1), RangeError, "full");
  // A wait in shared memory keeps no event loop going; a connection does where this is used.
  const keepGoing = setInterval(() => {}, 1000);
  let hasRoom = false;
  const room = queue.room().then(() => hasRoom = true);
  await Promise.resolve();
  assertEquals(hasRoom, false);
  assertEquals(queue.take(), { block: 0, first: 0, count: 1 });
  await room;
  clearInterval(keepGoing);
  queue.push(0, REQUESTS_MAX, 1);
  assertEquals(queue.pending, REQUESTS_MAX);
});

Deno.test("RequestQueue.takeLast() tells of each new place once", () => {
  const queue = RequestQueue.create(new Progress());
  assertEquals(queue.takeLast(), undefined);
  queue.note(3, 0);
  assertEquals([queue.takeLast(), queue.takeLast()], [{ block: 3, page: 0 }, undefined]);
  queue.note(0, 2 ** 33);
  queue.note(7, 2 ** 33 + 1);
  assertEquals(queue.takeLast(), { block: 7, page: 2 ** 33 + 1 });
  assertEquals(queue.count, 3);
});

Deno.test("RequestQueue says whether pages may be asked for, are on their way, are given back", async () => {
  const progress = new Progress();
  const queue = RequestQueue.create(progress);
  const there = new RequestQueue(queue.layout);
  assertEquals([there.isOpen, there.busy, there.releases], [false, false, false]);
  queue.open();
  queue.release();
  there.beginClaim();
  assertEquals([there.isOpen, queue.busy, there.releases], [true, true, true]);
  const seen = progress.count;
  const changed = progress.changed(seen);
  there.endClaim();
  await changed;
  assertEquals(queue.busy, false);
});

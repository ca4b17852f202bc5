import { keepEventLoop } from "../transport/connected.ts";
import { assert, assertEquals } from "@std/assert";
import { SHARED_STREAM_SIZE, SharedStream, StreamEnd } from "../../src/threads/shared_stream.ts";
import { WorkerHandle } from "../../src/threads/worker_handle.ts";
import { byteAt, type StreamStart } from "./fixtures/stream_bytes.ts";

function put(stream: SharedStream, ...bytes: number[]): void {
  stream.room().set(bytes);
  stream.filled(bytes.length);
}

function look(stream: SharedStream, count: number, skip = 0): number[] {
  const into = new Uint8Array(count);
  stream.peek(into, skip);
  return [...into];
}

Deno.test("SharedStream gives bytes in the order in which they were put in", () => {
  const stream = SharedStream.create();
  assertEquals([stream.available, stream.position, stream.end], [0, 0, StreamEnd.OPEN]);
  put(stream, 1, 2, 3);
  put(stream, 4);
  assertEquals(stream.available, 4);
  assertEquals(look(stream, 2, 1), [2, 3]);
  stream.consume(3);
  assertEquals([stream.available, stream.position], [1, 3]);
  assertEquals(look(stream, 1), [4]);
});

Deno.test("SharedStream.room() is one piece, and nothing while the ring is full", () => {
  const stream = SharedStream.create();
  assertEquals(stream.room().length, SHARED_STREAM_SIZE);
  stream.filled(SHARED_STREAM_SIZE - 10);
  stream.consume(100);
  // What is free at the ring's beginning is not in one piece with its end.
  assertEquals(stream.room().length, 10);
  stream.filled(10);
  assertEquals(stream.room().length, 100);
  stream.filled(100);
  assertEquals([stream.room().length, stream.available], [0, SHARED_STREAM_SIZE]);
});

Deno.test("SharedStream.peek() goes around the ring's end", () => {
  const stream = SharedStream.create();
  stream.filled(SHARED_STREAM_SIZE - 2);
  stream.consume(SHARED_STREAM_SIZE - 2);
  put(stream, 1, 2);
  put(stream, 3, 4);
  assertEquals(stream.ringOffset, SHARED_STREAM_SIZE - 2);
  for (let skip = 0; skip < 4; skip++) {
    assertEquals(look(stream, 4 - skip, skip), [1, 2, 3, 4].slice(skip));
  }
});

Deno.test("SharedStream counts on when its counters go around 2^31 and 2^32", () => {
  const stream = SharedStream.create();
  for (let turn = 0; turn < 1100; turn++) {
    stream.filled(SHARED_STREAM_SIZE);
    assertEquals([stream.available, stream.room().length], [SHARED_STREAM_SIZE, 0]);
    stream.consume(SHARED_STREAM_SIZE);
    assertEquals(stream.available, 0);
  }
  assert(stream.position > 2 ** 32);
  put(stream, 9);
  assertEquals(look(stream, 1), [9]);
});

Deno.test("SharedStream.wait() returns when there is enough, or when there will be no more", async () => {
  using _ = keepEventLoop();
  const stream = SharedStream.create();
  const both = stream.wait(2);
  put(stream, 1);
  put(stream, 2);
  assertEquals(await both, 2);
  const more = stream.wait(5);
  stream.finish(StreamEnd.CLOSED);
  assertEquals(await more, 2);
  assertEquals(await stream.wait(1), 2);
  assertEquals(stream.end, StreamEnd.CLOSED);
});

Deno.test("SharedStream.abandon() ends a stream, unless it has ended", async () => {
  using _ = keepEventLoop();
  const open = SharedStream.create();
  const waiting = open.wait(1);
  open.abandon();
  assertEquals([await waiting, open.end], [0, StreamEnd.FAILED]);
  const closed = SharedStream.create();
  closed.finish(StreamEnd.CLOSED);
  closed.abandon();
  assertEquals(closed.end, StreamEnd.CLOSED);
});

Deno.test("SharedStream.waitForRoom() waits for room, but not in a stream that was abandoned", async () => {
  using _ = keepEventLoop();
  const stream = SharedStream.create();
  assertEquals(await stream.waitForRoom(), true);
  stream.filled(SHARED_STREAM_SIZE);
  const room = stream.waitForRoom();
  stream.consume(1);
  assertEquals(await room, true);
  stream.filled(1);
  const never = stream.waitForRoom();
  stream.abandon();
  assertEquals(await never, false);
});

Deno.test("SharedStream hands the position on with the turn", () => {
  const main = SharedStream.create();
  const worker = new SharedStream(main.layout);
  put(worker, 1, 2, 3, 4);
  main.consume(1);
  worker.takeTurn(main.position);
  assertEquals([worker.position, worker.available], [1, 3]);
  worker.consume(2);
  main.takeTurn(worker.position);
  assertEquals([main.position, main.available], [3, 1]);
  assertEquals(look(main, 1), [4]);
});

for (const end of [StreamEnd.CLOSED, StreamEnd.FAILED] as const) {
  Deno.test(`SharedStream carries every byte from another thread, and its end (${end})`, async () => {
    const stream = SharedStream.create();
    const length = 6 * SHARED_STREAM_SIZE + 12_345;
    await using worker = await WorkerHandle.start<StreamStart>({
      name: "filler",
      url: new URL("./fixtures/stream_worker.ts", import.meta.url),
      start: { layout: stream.layout, length, end },
    });
    const piece = new Uint8Array(100_000);
    for (let place = 0; place < length;) {
      const count = Math.min(piece.length, length - place);
      assert(await stream.wait(count) >= count);
      const bytes = piece.subarray(0, count);
      stream.peek(bytes);
      const wrong = bytes.findIndex((byte, i) => byte !== byteAt(place + i));
      assertEquals(wrong, -1, `byte ${place + wrong}`);
      stream.consume(count);
      place += count;
    }
    assertEquals(await stream.wait(1), 0);
    assertEquals([stream.end, stream.position], [end, length]);
    await worker.ended;
  });
}

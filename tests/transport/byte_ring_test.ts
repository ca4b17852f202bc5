import { assert, assertEquals, assertThrows } from "@std/assert";
import { ByteRing, createRing, RingSide } from "../../src/transport/byte_ring.ts";
import { keepEventLoop } from "./connected.ts";
import { pattern } from "./pattern.ts";

Deno.test("ByteRing gives the bytes in their order across its edge", () => {
  const memory = createRing(16);
  const writer = new ByteRing(memory);
  const reader = new ByteRing(memory);
  const got: number[] = [];
  let put = 0;
  for (let turn = 0; got.length < 200; turn++) {
    const room = writer.writable().subarray(0, 1 + turn % 7);
    room.set(pattern(room.length, put));
    put += room.length;
    writer.commit(room.length);
    const bytes = reader.readable().subarray(0, 1 + turn % 5);
    got.push(...bytes);
    reader.release(bytes.length);
    assert(writer.length <= 16);
  }
  assertEquals(got, [...pattern(got.length)]);
});

Deno.test("ByteRing holds as much as its capacity, and tells full from empty", () => {
  const ring = new ByteRing(createRing(8));
  assertEquals([ring.readable().length, ring.writable().length], [0, 8]);
  ring.commit(8);
  assertEquals([ring.readable().length, ring.writable().length], [8, 0]);
  ring.release(3);
  assertEquals([ring.readable().length, ring.writable().length], [5, 3]);
});

Deno.test("ByteRing counts on when its counters pass 2^32", () => {
  const memory = createRing(8);
  new Int32Array(memory).fill(-3, 0, 2); // both counters, three bytes before they wrap
  const ring = new ByteRing(memory);
  assertEquals([ring.length, ring.writable().length], [0, 3]);
  ring.writable().set([1, 2, 3]);
  ring.commit(3);
  ring.writable().set([4, 5]);
  ring.commit(2);
  assertEquals([ring.length, [...ring.readable()]], [5, [1, 2, 3]]);
  ring.release(3);
  assertEquals([...ring.readable()], [4, 5]);
});

Deno.test("ByteRing.until() wakes for bytes, for room and for an end, also set just before", async () => {
  using _ = keepEventLoop();
  const ring = new ByteRing(createRing(8));
  const bytes = ring.until(() => ring.length > 0);
  ring.commit(8);
  await bytes;
  const room = ring.until(() => ring.writable().length > 0);
  ring.release(1);
  await room;
  const ended = ring.until(() => ring.writer !== RingSide.OPEN);
  ring.endWriter(RingSide.ENDED);
  await ended;
  ring.endReader(RingSide.FAILED);
  await ring.until(() => ring.reader === RingSide.FAILED);
});

Deno.test("ByteRing lets a failure follow an end, but no end follow a failure", () => {
  const ring = new ByteRing(createRing(8));
  ring.endWriter(RingSide.ENDED);
  ring.endWriter(RingSide.FAILED);
  ring.endWriter(RingSide.ENDED);
  assertEquals([ring.writer, ring.reader], [RingSide.FAILED, RingSide.OPEN]);
});

Deno.test("createRing() refuses what is no power of two", () => {
  for (const capacity of [0, 3, 100, -8]) {
    assertThrows(() => createRing(capacity), RangeError, "not a power of two");
  }
});

Deno.test("ByteRing: each side says why it failed, as far as there is room", () => {
  const memory = createRing(16);
  const [writer, reader] = [new ByteRing(memory), new ByteRing(memory)];
  assertEquals([reader.writerReason, writer.readerReason], ["", ""]);
  writer.failWriter("connection reset by the peer");
  reader.failReader("é".repeat(1000));
  assertEquals([reader.writer, reader.writerReason], [
    RingSide.FAILED,
    "connection reset by the peer",
  ]);
  assertEquals([writer.reader, writer.readerReason], [RingSide.FAILED, "é".repeat(224)]);
  assertEquals(reader.length, 0, "reasons are not in the ring");
});

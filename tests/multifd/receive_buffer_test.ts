import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError } from "../../src/errors.ts";
import { ReceiveBuffer } from "../../src/multifd/receive_buffer.ts";
import { MemoryChannel, pieces } from "../ram/fixtures/channels.ts";

const BYTES = Uint8Array.from({ length: 200_000 }, (_, i) => i * 31 + (i >>> 8));

Deno.test("ReceiveBuffer gives what was asked for in one piece, whatever the pieces it comes in", async () => {
  for (const size of [1000, 4096, 70_000]) {
    const buffer = new ReceiveBuffer(new MemoryChannel(pieces(BYTES, size)), 65_536);
    let at = 0;
    for (let count = 1; at + count <= BYTES.length; count = count * 3 % 50_000 + 1) {
      assertEquals(await buffer.need(count, 30_000), true);
      const { start } = buffer;
      assertEquals(buffer.position, at);
      assertEquals(buffer.bytes.slice(start, start + count), BYTES.slice(at, at + count));
      buffer.skip(count);
      at += count;
    }
    assertEquals(buffer.position, at);
  }
});

Deno.test("ReceiveBuffer.readInto() takes what is buffered first, then reads straight", async () => {
  const buffer = new ReceiveBuffer(new MemoryChannel([BYTES]), 65_536);
  await buffer.need(10, 1000);
  assertEquals(buffer.received, 1000);
  buffer.skip(10);
  const target = new Uint8Array(5000);
  await buffer.readInto(target.subarray(0, 400));
  assertEquals(buffer.received, 1000);
  await buffer.readInto(target.subarray(400));
  assertEquals(target, BYTES.slice(10, 5010));
  assertEquals([buffer.position, buffer.received], [5010, 5010]);
  await buffer.need(20, 20);
  assertEquals(buffer.bytes[buffer.start], BYTES[5010]);
});

Deno.test("ReceiveBuffer tells an end between packets from one inside", async () => {
  const buffer = new ReceiveBuffer(new MemoryChannel([BYTES.subarray(0, 100)]), 65_536);
  assertEquals(await buffer.need(100, 5000), true);
  buffer.skip(100);
  assertEquals(await buffer.need(100, 100), false);
  const short = new ReceiveBuffer(new MemoryChannel([BYTES.subarray(0, 99)]), 65_536);
  await assertRejects(() => short.need(100, 5000), ConnectionLostError, "inside a packet");
  const inPage = new ReceiveBuffer(new MemoryChannel([BYTES.subarray(0, 99)]), 65_536);
  await inPage.need(50, 50);
  inPage.skip(50);
  await assertRejects(
    () => inPage.readInto(new Uint8Array(50)),
    ConnectionLostError,
    "memory ended",
  );
});

Deno.test("ReceiveBuffer passes a broken connection's error on", async () => {
  const buffer = new ReceiveBuffer(new MemoryChannel([], 0), 65_536);
  await assertRejects(() => buffer.need(1, 1), ConnectionLostError, "Lost the connection");
});

Deno.test("ReceiveBuffer never reads past its end, and moves what is unread to its start", async () => {
  const size = 65_536;
  const buffer = new ReceiveBuffer(new MemoryChannel([BYTES]), size);
  // Filled to the brim, the next need is met by moving.
  await buffer.need(60_000, size);
  buffer.skip(59_000);
  await buffer.need(60_000, 10 * size);
  const { start } = buffer;
  assertEquals(start, 65_536);
  assertEquals(buffer.bytes.slice(start, start + 60_000), BYTES.slice(59_000, 119_000));
});

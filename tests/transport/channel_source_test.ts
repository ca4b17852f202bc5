import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ConnectionLostError } from "../../src/errors.ts";
import { ChannelSource } from "../../src/transport/channel_source.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { connectedChannels } from "./connected.ts";
import { pattern, patternMismatch } from "./pattern.ts";

Deno.test("ChannelSource lets a ByteReader read messages longer than its window", async () => {
  const [ours, peers] = await connectedChannels();
  const source = new ChannelSource(peers, 16);
  const reader = new ByteReader(source);
  const sent = ours.write(pattern(1000)).then(() => ours.shutdown());
  assertEquals(await reader.u8("a byte"), 0);
  assertEquals(await reader.be32("a word"), new DataView(pattern(5).buffer).getUint32(1));
  assertEquals(await reader.bytes(900, 1000, "bytes"), pattern(900, 5));
  assertEquals(source.position, 905);
  await reader.skip(95, "the rest");
  assertEquals(await reader.atEnd(), true);
  await assertRejects(() => reader.u8("one more"), ConnectionLostError, "inside one more");
  await sent;
  ours.close();
  peers.close();
});

Deno.test("ChannelSource keeps what it has not consumed where it is, at every split", async () => {
  for (let split = 1; split < 12; split++) {
    const [ours, peers] = await connectedChannels();
    const source = new ChannelSource(peers, 12);
    await ours.write(pattern(split));
    assertEquals(await source.wait(1) > 0, true);
    const rest = ours.write(pattern(24 - split, split));
    const one = new Uint8Array(1);
    for (let at = 0; at < 24; at++) {
      const wanted = Math.min(12, 24 - at);
      assertEquals(await source.wait(wanted), wanted);
      source.peek(one, wanted - 1);
      assertEquals([...one], [...pattern(1, at + wanted - 1)]);
      source.peek(one);
      assertEquals([...one], [...pattern(1, at)]);
      source.consume(1);
      assertEquals(source.position, at + 1);
    }
    await rest;
    ours.close();
    peers.close();
  }
});

Deno.test("ChannelSource.readInto() takes the window's bytes first and the rest from the channel", async () => {
  const [ours, peers] = await connectedChannels();
  const source = new ChannelSource(peers, 64);
  const sent = ours.write(pattern(300_000)).then(() => ours.shutdown());
  await source.wait(10);
  source.consume(3);
  const ram = new Uint8Array(new SharedArrayBuffer(200_000));
  assertEquals(await source.readInto(ram), ram.length);
  assertEquals(patternMismatch(ram, 3), -1);
  assertEquals(source.position, 200_003);
  const next = new Uint8Array(1);
  await source.wait(1);
  source.peek(next);
  assertEquals([...next], [...pattern(1, 200_003)]);
  assertEquals(await source.readInto(new Uint8Array(200_000)), 99_997, "the stream ended");
  assertEquals([source.available, await source.wait(1)], [0, 0]);
  await sent;
  ours.close();
  peers.close();
});

Deno.test("ChannelSource refuses more than its window, or than is there", async () => {
  const [ours, peers] = await connectedChannels();
  const source = new ChannelSource(peers, 8);
  await assertRejects(() => source.wait(9), RangeError, "a window of 8");
  await ours.write(pattern(2));
  assertEquals(await source.wait(2), 2);
  assertThrows(() => source.peek(new Uint8Array(3)), RangeError);
  assertThrows(() => source.peek(new Uint8Array(2), 1), RangeError);
  assertThrows(() => source.consume(3), RangeError);
  ours.close();
  peers.close();
});

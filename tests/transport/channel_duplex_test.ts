import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { ConnectionLostError } from "../../src/errors.ts";
import { ChannelDuplex } from "../../src/transport/channel_duplex.ts";
import { connectedChannels, readAll } from "./connected.ts";
import { pattern, patternMismatch } from "./pattern.ts";

Deno.test("ChannelDuplex reads to the end and writes in order", async () => {
  const [ours, peers] = await connectedChannels();
  const stream = new ChannelDuplex(ours);
  const size = 2 << 20;
  const parts: Uint8Array[] = [];
  const ended = new Promise((resolve) => stream.on("end", resolve));
  stream.on("data", (bytes: Uint8Array) => parts.push(bytes));
  await peers.write(pattern(size));
  await peers.shutdown();
  await ended;
  const got = new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  assertEquals([got.length, patternMismatch(got)], [size, -1]);

  const wrote = stream.nextWrite();
  for (let at = 0; at < 1000; at += 100) stream.write(pattern(100, at));
  await wrote;
  assertEquals(await readAll(peers, 1000), pattern(1000));
  stream.destroy();
  await ours.write(pattern(1)); // the channel is not the stream's
  assertEquals((await readAll(peers, 1)).length, 1);
  ours.close();
  peers.close();
});

Deno.test("ChannelDuplex reads nothing while it is held", async () => {
  const [ours, peers] = await connectedChannels();
  const stream = new ChannelDuplex(ours);
  stream.hold();
  let count = 0;
  const some = Promise.withResolvers<void>();
  stream.on("data", (bytes: Uint8Array) => {
    count += bytes.length;
    if (count === 1) some.resolve();
    stream.hold();
  });
  await peers.write(pattern(1));
  stream.goOn();
  await some.promise;
  // More than the kernel holds of a connection nobody reads.
  const writing = peers.write(new Uint8Array(64 << 20));
  await peers.write(new Uint8Array(1)).catch(() => {}); // refused while the other is pending
  assert(count < 1 << 20, `${count} bytes were read`);
  peers.close();
  await writing.catch((error) => assertInstanceOf(error, ConnectionLostError));
  stream.destroy();
  ours.close();
});

Deno.test("ChannelDuplex has the channel's error", async () => {
  const [ours, peers] = await connectedChannels();
  const stream = new ChannelDuplex(ours);
  const failed = new Promise((resolve) => stream.on("error", resolve));
  stream.resume();
  ours.close();
  assertInstanceOf(await failed, ConnectionLostError);
  peers.close();
});

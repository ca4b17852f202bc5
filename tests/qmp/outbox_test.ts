import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError } from "../../src/errors.ts";
import { Outbox } from "../../src/qmp/outbox.ts";
import type { Channel } from "../../src/transport/channel.ts";
import { listenOn } from "../support/sockets.ts";
import { connect } from "../../src/transport/connect.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { parseUri } from "../../src/transport/uri.ts";

/** Both ends of a connection; nobody reads the far one unless the test does. */
async function connected(): Promise<{ channel: Channel; far: Deno.Conn } & AsyncDisposable> {
  const { listener, uri } = listenOn("tcp:127.0.0.1:0");
  const [endpoint, far] = await Promise.all([connect(parseUri(uri)), listener.accept()]);
  listener.close();
  const channel = openChannel(endpoint.handOff());
  return {
    channel,
    far,
    async [Symbol.asyncDispose]() {
      channel.close();
      await endpoint.close();
      far.close();
    },
  };
}

async function readAll(from: Deno.Conn): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  let text = "";
  for (let count; (count = await from.read(buffer)) !== null;) {
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  return text;
}

Deno.test("Outbox sends everything in its order", async () => {
  await using ends = await connected();
  const outbox = new Outbox(ends.channel);
  const lines = Array.from({ length: 2000 }, (_, i) => `line ${i} ${"x".repeat(i % 50)}\n`);
  for (const line of lines) outbox.push(line);
  const heard = readAll(ends.far);
  await outbox.drained();
  await ends.channel.shutdown();
  assertEquals(await heard, lines.join(""));
});

Deno.test("Outbox gives up a reader that does not read, and takes no more from then on", async () => {
  await using ends = await connected();
  const outbox = new Outbox(ends.channel, 256 * 1024);
  const pending = assertRejects(
    () => ends.channel.read(new Uint8Array(1)),
    ConnectionLostError,
    "it was closed on this side",
  );
  for (let i = 0; i < 3; i++) outbox.push("x".repeat(128 * 1024));
  await pending;
  await outbox.room();
  await outbox.drained();
  outbox.push("nobody hears this");
});

Deno.test("Outbox makes answers wait until the reader has read", async () => {
  await using ends = await connected();
  const outbox = new Outbox(ends.channel, 64 * 1024 ** 2);
  await outbox.room();
  for (let i = 0; i < 32; i++) outbox.push("x".repeat(1024 ** 2)); // more than the kernel takes
  let roomy = false;
  const room = outbox.room().then(() => roomy = true);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(roomy, false);
  const heard = readAll(ends.far);
  await room;
  await outbox.drained();
  await ends.channel.shutdown();
  assertEquals((await heard).length, 32 * 1024 ** 2);
});

Deno.test("Outbox ends quietly when the reader is gone", async () => {
  await using ends = await connected();
  const outbox = new Outbox(ends.channel);
  ends.channel.close();
  outbox.push("into nothing");
  await outbox.drained();
  await outbox.room();
});

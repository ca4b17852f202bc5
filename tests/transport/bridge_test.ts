import { assert, assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, StateError } from "../../src/errors.ts";
import {
  abandonBridge,
  BridgeChannel,
  bridgeSpec,
  startBridge,
} from "../../src/transport/bridge.ts";
import type { BridgeSpec, Channel } from "../../src/transport/channel.ts";
import { connectedChannels, connectedEndpoints, keepEventLoop, readAll } from "./connected.ts";
import { pattern, patternMismatch } from "./pattern.ts";
import { RemoteChannel } from "./remote_channel.ts";

/** A bridge over a real connection, and the peer on the other side of it. */
async function bridged(head = new Uint8Array(0)): Promise<[BridgeSpec, Channel]> {
  const [ours, peer] = await connectedChannels();
  return [startBridge(ours, head), peer];
}

Deno.test("BridgeChannel carries bytes both ways between a worker and the main thread", async () => {
  const [spec, peer] = await bridged(pattern(5));
  await using remote = await RemoteChannel.open(spec);
  const size = 5 << 20;
  const got = remote.ask({ do: "read", count: Infinity });
  await peer.write(pattern(size, 5));
  await peer.shutdown();
  assertEquals(await got, { order: 1, count: size + 5, mismatch: -1 });
  const [bytes] = await Promise.all([
    readAll(peer),
    remote.ask({ do: "write", from: 3, count: size })
      .then(() => remote.ask({ do: "shutdown" })),
  ]);
  assertEquals([bytes.length, patternMismatch(bytes, 3)], [size, -1]);
  peer.close();
});

Deno.test("BridgeChannel.close() in a worker rejects what is pending and ends the connection", async () => {
  const [spec, peer] = await bridged();
  const remote = await RemoteChannel.open(spec);
  const writing = remote.tell({ do: "write for ever" });
  const reading = remote.tell({ do: "read", count: 1 });
  assert(await peer.read(new Uint8Array(1)) === 1, "it is writing, and stalls when we do not read");
  await remote.ask({ do: "close" });
  for (const answer of [await writing, await reading]) {
    assertEquals(answer.error?.name, "ConnectionLostError");
    assert(answer.error?.message.endsWith("it was closed on this side"));
  }
  await readAll(peer).catch((error) => assert(error instanceof ConnectionLostError));
  peer.close();
  await remote[Symbol.asyncDispose]();
});

Deno.test("BridgeChannel reports a connection that the main thread lost, and how", async () => {
  using _ = keepEventLoop();
  const [ours, peer] = await connectedChannels();
  const channel = new BridgeChannel(startBridge(ours, new Uint8Array(0)));
  const reading = assertRejects(
    () => channel.read(new Uint8Array(1)),
    ConnectionLostError,
    `Lost the connection to ${ours.peer}: it was closed on this side`,
  );
  ours.close();
  await reading;
  await assertRejects(() => channel.write(new Uint8Array(1)), ConnectionLostError, "closed on");
  await assertRejects(() => channel.shutdown(), ConnectionLostError, "closed on");
  channel.close();
  peer.close();
});

Deno.test("BridgeChannel.write() resolves when the kernel has the bytes, not before", async () => {
  using _ = keepEventLoop();
  const [spec, peer] = await bridged();
  const channel = new BridgeChannel(spec);
  await channel.write(pattern(1000));
  channel.close(); // nothing that was written is lost by it
  assertEquals(await readAll(peer), pattern(1000));
  peer.close();
});

Deno.test("BridgeChannel.close() after a shutdown that a stalled peer holds up ends it", async () => {
  using _ = keepEventLoop();
  const [spec, peer] = await bridged();
  const channel = new BridgeChannel(spec);
  const stalled = assertRejects(
    () => channel.write(new Uint8Array(64 << 20)),
    ConnectionLostError,
    "on this side",
  );
  await assertRejects(() => channel.write(new Uint8Array(1)), StateError, "another is pending");
  await assertRejects(() => channel.shutdown(), StateError, "another is pending");
  channel.close();
  await stalled;
  await readAll(peer).catch((error) => assert(error instanceof ConnectionLostError));
  peer.close();
});

Deno.test("BridgeChannel's halves end the connection when both are closed", async () => {
  using _ = keepEventLoop();
  const [ours, peers] = await connectedEndpoints({ handOff: "bridge" });
  const halves = ours.handOffHalves();
  assert(halves.read.kind === "bridge" && halves.write.kind === "bridge");
  const reader = new BridgeChannel(halves.read);
  const writer = new BridgeChannel(halves.write);
  const peerSpec = peers.handOff();
  assert(peerSpec.kind === "bridge");
  const peer = new BridgeChannel(peerSpec);
  await assertRejects(() => reader.write(new Uint8Array(1)), StateError, "can only read");
  await assertRejects(() => writer.read(new Uint8Array(1)), StateError, "can only write");
  await writer.write(pattern(3));
  await writer.shutdown();
  await assertRejects(() => writer.write(pattern(3)), StateError, "after its end");
  writer.close();
  assertEquals(await readAll(peer), pattern(3));
  await peer.write(pattern(4));
  assertEquals(await reader.read(new Uint8Array(9)), 4);
  await assertRejects(() => reader.read(new Uint8Array(0)), RangeError);
  reader.close();
  await assertRejects(() => reader.read(new Uint8Array(1)), ConnectionLostError, "on this side");
  assertEquals(await peer.read(new Uint8Array(1)).catch(() => 0), 0);
  peer.close();
});

Deno.test("abandonBridge() ends who waits, and leaves what has ended in order", async () => {
  using _ = keepEventLoop();
  const spec = bridgeSpec("somebody");
  const channel = new BridgeChannel(spec);
  const reading = channel.read(new Uint8Array(1));
  const writing = channel.write(new Uint8Array(1));
  abandonBridge(spec, "its thread is gone");
  await assertRejects(() => reading, ConnectionLostError, "somebody: its thread is gone");
  await assertRejects(() => writing, ConnectionLostError, "somebody: its thread is gone");

  const [ours, peer] = await connectedChannels();
  const carried = startBridge(ours, new Uint8Array(0));
  const other = new BridgeChannel(carried);
  await peer.shutdown();
  assertEquals(await other.read(new Uint8Array(1)), 0);
  abandonBridge(carried, "too late");
  assertEquals(await other.read(new Uint8Array(1)), 0);
  other.close();
  peer.close();
});

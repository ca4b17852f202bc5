import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { ConnectionLostError, StateError } from "../../src/errors.ts";
import { SocketChannel } from "../../src/transport/socket_channel.ts";
import { connectedChannels, connectedEndpoints, readAll, temporaryDirectory } from "./connected.ts";
import { pattern, patternMismatch } from "./pattern.ts";

Deno.test("SocketChannel carries bytes both ways, and the end of one side leaves the other open", async () => {
  const [ours, peers] = await connectedChannels();
  await ours.write(pattern(1000));
  await ours.shutdown();
  assertEquals(await readAll(peers), pattern(1000));
  assertEquals(await peers.read(new Uint8Array(1)), 0, "the end stays the end");
  await peers.write(pattern(500, 7));
  await peers.shutdown();
  assertEquals(await readAll(ours), pattern(500, 7));
  ours.close();
  peers.close();
});

Deno.test("SocketChannel.read() takes no more from the kernel than its target holds", async () => {
  const [ours, peers] = await connectedChannels();
  await ours.write(pattern(10));
  const first = new Uint8Array(3);
  const second = new Uint8Array(16).fill(255);
  assertEquals(await peers.read(first), 3);
  assertEquals(await peers.read(second), 7);
  assertEquals([...first, ...second.subarray(0, 8)], [...pattern(10), 255]);
  ours.close();
  peers.close();
});

Deno.test("SocketChannel.read() delivers the head first, in whatever pieces are asked for", async () => {
  for (const step of [1, 2, 3, 5, 8, 100]) {
    const [ours, peers] = await connectedEndpoints();
    const writer = new SocketChannel(assertDescriptor(ours.handOff()));
    const spec = { ...assertDescriptor(peers.handOff()), head: pattern(5) };
    const reader = new SocketChannel(spec);
    await writer.write(pattern(20, 5));
    await writer.shutdown();
    const got: number[] = [];
    for (const into = new Uint8Array(step);;) {
      const count = await reader.read(into);
      if (count === 0) break;
      got.push(...into.subarray(0, count));
    }
    assertEquals(got, [...pattern(25)], `in steps of ${step}`);
    writer.close();
    reader.close();
  }
});

function assertDescriptor<Spec extends { readonly kind: string }>(spec: Spec) {
  assert(spec.kind === "descriptor");
  return spec as Extract<Spec, { readonly kind: "descriptor" }>;
}

for (const transport of ["tcp", "unix"] as const) {
  Deno.test(`SocketChannel.writeGather() writes scattered parts in their order (${transport})`, async () => {
    using directory = temporaryDirectory();
    const uri = transport === "tcp" ? "tcp:127.0.0.1:0" : `unix:${directory.path}/s`;
    const [ours, peers] = await connectedChannels({}, uri);
    const whole = pattern(6 << 20);
    const shared = new Uint8Array(new SharedArrayBuffer(whole.length));
    shared.set(whole);
    // Empty parts, 128 pages, parts of odd lengths, one above the size of a batch.
    const lengths = [0, ...Array(128).fill(4096), 0, 1, 4095, 3 << 20, 0, 77_777, 0];
    const parts: Uint8Array[] = [];
    let at = 0;
    for (const length of lengths) parts.push(shared.subarray(at, at += length));
    parts.push(shared.subarray(at), new Uint8Array(0));
    const [got] = await Promise.all([
      readAll(peers),
      ours.writeGather(parts).then(() => ours.shutdown()),
    ]);
    assertEquals(got.length, whole.length);
    assertEquals(patternMismatch(got), -1);
    await ours.writeGather([]).then(() => assert(false), (error) => {
      assertInstanceOf(error, StateError, "a write after the end");
    });
    ours.close();
    peers.close();
  });
}

Deno.test("SocketChannel.writeGather() of nothing resolves", async () => {
  const [ours, peers] = await connectedChannels();
  await ours.writeGather([]);
  await ours.write(new Uint8Array(0));
  ours.close();
  peers.close();
});

Deno.test("SocketChannel reads and writes at the same time", async () => {
  const [ours, peers] = await connectedChannels();
  const bytes = pattern(8 << 20);
  const exchange = async (channel: typeof ours) => {
    const [got] = await Promise.all([
      readAll(channel),
      channel.write(bytes).then(() => channel.shutdown()),
    ]);
    assertEquals([got.length, patternMismatch(got)], [bytes.length, -1]);
  };
  await Promise.all([exchange(ours), exchange(peers)]);
  ours.close();
  peers.close();
});

Deno.test("SocketChannel refuses a second read, write or shutdown while one is pending", async () => {
  const [ours, peers] = await connectedChannels();
  const reading = ours.read(new Uint8Array(1));
  await assertRejects(() => ours.read(new Uint8Array(1)), StateError, "while another is pending");
  const writing = ours.write(new Uint8Array(32 << 20));
  await assertRejects(() => ours.write(new Uint8Array(1)), StateError, "while another is pending");
  await assertRejects(() => ours.shutdown(), StateError, "while another is pending");
  await peers.write(new Uint8Array(1));
  assertEquals(await reading, 1);
  peers.close();
  await assertRejects(() => writing, ConnectionLostError);
  ours.close();
});

Deno.test("SocketChannel.read() refuses an empty target", async () => {
  const [ours, peers] = await connectedChannels();
  await assertRejects(() => ours.read(new Uint8Array(0)), RangeError);
  ours.close();
  peers.close();
});

Deno.test("SocketChannel.close() rejects what is pending although the peer stalls", async () => {
  const [ours, peers] = await connectedChannels();
  const stalled = ours.write(new Uint8Array(64 << 20));
  const reading = ours.read(new Uint8Array(1));
  ours.close();
  await assertRejects(() => stalled, ConnectionLostError, "it was closed on this side");
  await assertRejects(() => reading, ConnectionLostError, "it was closed on this side");
  await assertRejects(() => ours.read(new Uint8Array(1)), ConnectionLostError, "on this side");
  await assertRejects(() => ours.write(new Uint8Array(1)), ConnectionLostError, "on this side");
  ours.close();
  peers.close();
});

Deno.test("SocketChannel.write() resolves only when its memory may change", async () => {
  const [ours, peers] = await connectedChannels();
  const buffer = new Uint8Array(new SharedArrayBuffer(300_000));
  const rounds = 40;
  const send = async () => {
    for (let round = 1; round <= rounds; round++) {
      await ours.write(buffer.fill(round));
      buffer.fill(0);
    }
    await ours.shutdown();
  };
  const [got] = await Promise.all([readAll(peers), send()]);
  for (let round = 1; round <= rounds; round++) {
    const part = got.subarray((round - 1) * buffer.length, round * buffer.length);
    assert(part.length === buffer.length && part.every((byte) => byte === round), `${round}`);
  }
  ours.close();
  peers.close();
});

Deno.test("SocketChannel says that the connection was reset", async () => {
  const [ours, peers] = await connectedChannels();
  await ours.write(new Uint8Array(1000));
  peers.close(); // with bytes unread: the kernel answers with a reset
  const error = await assertRejects(
    async () => {
      for (;;) assert(await ours.read(new Uint8Array(1)) > 0, "no orderly end");
    },
    ConnectionLostError,
  );
  assert(error.message.startsWith(`Lost the connection to ${ours.peer}: `), error.message);
  assert(error.message.endsWith("connection reset by the peer"), error.message);
  ours.close();
});

Deno.test("SocketChannel that has one direction refuses the other", async () => {
  const [ours, peers] = await connectedEndpoints();
  const { read, write } = ours.handOffHalves();
  const reader = new SocketChannel(assertDescriptor(read));
  const writer = new SocketChannel(assertDescriptor(write));
  const peer = new SocketChannel(assertDescriptor(peers.handOff()));
  await assertRejects(() => reader.write(new Uint8Array(1)), StateError, "can only read");
  await assertRejects(() => reader.shutdown(), StateError, "can only read");
  await assertRejects(() => writer.read(new Uint8Array(1)), StateError, "can only write");
  await writer.write(pattern(3));
  await writer.shutdown();
  writer.close();
  assertEquals(await readAll(peer), pattern(3));
  await peer.write(pattern(4)); // the reading half is still there
  assertEquals(await reader.read(new Uint8Array(9)), 4);
  reader.close();
  assertEquals(await peer.read(new Uint8Array(1)), 0);
  peer.close();
});

import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../src/os/errno.ts";
import { libcProblem } from "../../src/os/libc.ts";
import { PromptSocket } from "../../src/os/prompt_socket.ts";
import { closeDescriptor } from "../../src/transport/descriptor.ts";
import { connectedEndpoints } from "../transport/connected.ts";

const ignore = libcProblem() !== undefined;

async function connected(): Promise<[PromptSocket, PromptSocket, number, number]> {
  const [ours, peers] = (await connectedEndpoints()).map((endpoint) => {
    const spec = endpoint.handOff();
    assert(spec.kind === "descriptor");
    return spec.fd;
  });
  return [new PromptSocket(ours!), new PromptSocket(peers!), ours!, peers!];
}

Deno.test({
  name: "PromptSocket reads what comes, into shared memory too, and waits no longer than it may",
  ignore,
  async fn() {
    const [ours, peers, our, peer] = await connected();
    const into = new Uint8Array(new SharedArrayBuffer(8), 2, 4);
    const before = performance.now();
    assertEquals(ours.read(into, 20), -Errno.EAGAIN);
    assert(performance.now() - before >= 19, "it waited");
    assertEquals(peers.write(new Uint8Array([1, 2, 3, 4, 5]), 0), 5);
    assertEquals(ours.read(into, -1), 4);
    assertEquals([...new Uint8Array(into.buffer)], [0, 0, 1, 2, 3, 4, 0, 0]);
    assertEquals(ours.read(into, -1), 1);
    closeDescriptor(peer);
    assertEquals(ours.read(into, -1), 0, "the end");
    closeDescriptor(our);
  },
});

Deno.test({
  name: "PromptSocket.keepQueueShort() lets less into the kernel, on a connection of this host",
  ignore,
  async fn() {
    const [ours, peers, our, peer] = await connected();
    assertEquals(ours.keepQueueShort(), 256 * 1024);
    assertEquals(peers.keepQueueShort(), 256 * 1024);
    const piece = new Uint8Array(64 * 1024);
    let held = 0;
    for (let taken; (taken = ours.write(piece, 0)) > 0;) held += taken;
    assert(held < 1024 ** 2, `${held} bytes`);
    const rest = new Uint8Array(1024 ** 2);
    for (let taken; held > 0 && (taken = peers.read(rest, 1000)) > 0;) held -= taken;
    assertEquals(held, 0, "and loses nothing");
    [our, peer].forEach(closeDescriptor);
    assertEquals(ours.keepQueueShort(), 0, "no connection any more");
  },
});

Deno.test({
  name: "PromptSocket.write() takes no more than the kernel, and fails without a signal",
  ignore,
  async fn() {
    const [ours, peers, our, peer] = await connected();
    const much = new Uint8Array(64 * 1024 ** 2);
    const taken = ours.write(much, 0);
    assert(taken > 0 && taken < much.length, `${taken}`);
    assertEquals(ours.write(much, 0), -Errno.EAGAIN);
    assert(peers.read(new Uint8Array(1), -1) === 1);
    closeDescriptor(peer);
    // Unread bytes at the peer reset the connection.
    while (ours.read(new Uint8Array(1), -1) === 0);
    assert(ours.write(much, 0) < 0);
    closeDescriptor(our);
  },
});

Deno.test({
  name: "PromptSocket.write() waits for room as long as it may, and no longer than it must",
  ignore,
  async fn() {
    const [ours, peers, our, peer] = await connected();
    const piece = new Uint8Array(256 * 1024);
    let held = 0;
    for (let taken; (taken = ours.write(piece, 0)) > 0;) held += taken;
    const before = performance.now();
    assertEquals(ours.write(piece, 20), -Errno.EAGAIN);
    assert(performance.now() - before >= 19, "it waited");
    const rest = new Uint8Array(1024 ** 2);
    for (let taken; held > 0 && (taken = peers.read(rest, 1000)) > 0;) held -= taken;
    assert(ours.write(piece, -1) > 0, "it did not wait for ever");
    [our, peer].forEach(closeDescriptor);
  },
});

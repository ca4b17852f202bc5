import { assert, assertEquals, assertThrows } from "@std/assert";
import net from "node:net";
import { TransportError } from "../../src/errors.ts";
import { connect } from "../../src/transport/connect.ts";
import {
  adoptDescriptor,
  closeDescriptor,
  readInto,
  requireDescriptors,
  splitDescriptor,
  takeDescriptor,
} from "../../src/transport/descriptor.ts";
import { listen } from "../../src/transport/listen.ts";
import { parseUri } from "../../src/transport/uri.ts";

/** Two connected descriptors that nothing has adopted. */
async function descriptorPair(uri = "tcp:127.0.0.1:0"): Promise<[number, number]> {
  await using listener = await listen(parseUri(uri));
  const ours = (await connect(listener.uri)).handOff();
  const peers = (await listener.accept())?.handOff();
  assert(ours.kind === "descriptor" && peers?.kind === "descriptor");
  return [ours.fd, peers.fd];
}

/** Reads once into shared memory through the internals, as the channel does. */
async function readOnce(fd: number, target: Uint8Array): Promise<[net.Socket, number]> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const socket = adoptDescriptor(fd, resolve);
  socket.on("error", reject);
  assertEquals(readInto(socket, target), 0);
  return [socket, await promise];
}

Deno.test("the handle of a socket still has what descriptor.ts uses of it", async () => {
  // When this fails after an upgrade of Deno: src/transport/descriptor.ts is the place to mend, and
  // the hand-off "bridge" works meanwhile.
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  requireDescriptors(server);
  await new Promise((resolve) => server.close(resolve));
});

Deno.test("requireDescriptors() and takeDescriptor() say so when a handle has nothing of that", () => {
  const other = { _handle: { readStart() {} } } as unknown as net.Socket;
  assertThrows(() => takeDescriptor(other), TransportError, "keeps the descriptors");
  assertThrows(
    () => requireDescriptors(other as unknown as net.Server),
    TransportError,
    "keeps the descriptors",
  );
});

Deno.test("readInto() reads into shared memory in place, and stops after one read", async () => {
  const [ours, peers] = await descriptorPair();
  const peer = adoptDescriptor(peers, () => {});
  peer.write(Uint8Array.of(1, 2, 3, 4, 5, 6));
  const shared = new Uint8Array(new SharedArrayBuffer(16));
  const [socket, count] = await readOnce(ours, shared.subarray(4, 8));
  assertEquals(count, 4);
  assertEquals([...shared.subarray(0, 10)], [0, 0, 0, 0, 1, 2, 3, 4, 0, 0]);
  assertEquals(socket.readableLength, 0, "nothing is buffered in JavaScript");
  socket.destroy();
  peer.destroy();
});

Deno.test("takeDescriptor() leaves the connection open, and closeDescriptor() ends it", async () => {
  const [ours, peers] = await descriptorPair();
  const again = takeDescriptor(adoptDescriptor(ours, () => {}));
  const peer = adoptDescriptor(peers, () => {});
  const ended = new Promise((resolve) => peer.on("end", resolve));
  peer.write(Uint8Array.of(7));
  const [socket] = await readOnce(again, new Uint8Array(1));
  const last = takeDescriptor(socket);
  readInto(peer, new Uint8Array(1));
  closeDescriptor(last);
  await ended;
  peer.destroy();
});

Deno.test("splitDescriptor() gives two that work apart, and the connection ends with the last", async () => {
  const [ours, peers] = await descriptorPair();
  const [first, second] = splitDescriptor(ours);
  closeDescriptor(first);
  const peer = adoptDescriptor(peers, () => {});
  const ended = new Promise((resolve) => peer.on("end", resolve));
  peer.write(Uint8Array.of(9));
  const target = new Uint8Array(1);
  const [socket] = await readOnce(second, target);
  assertEquals(target[0], 9);
  readInto(peer, new Uint8Array(1));
  socket.destroy();
  await ended;
  peer.destroy();
});

Deno.test("a descriptor that was taken is not inherited by a child process", async () => {
  const [ours, peers] = await descriptorPair();
  const { stdout } = await new Deno.Command("/bin/sh", {
    args: ["-c", `for fd in ${ours} ${peers}; do [ -S /proc/self/fd/$fd ] && echo $fd; done; :`],
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "");
  closeDescriptor(ours);
  closeDescriptor(peers);
});

Deno.test("adoptDescriptor() refuses what is neither a socket nor a pipe", () => {
  assertThrows(() => adoptDescriptor(987654, () => {}), TransportError, "987654");
});

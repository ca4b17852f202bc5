import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { CancelledError, TransportError } from "../../src/errors.ts";
import { connect } from "../../src/transport/connect.ts";
import type { Endpoint } from "../../src/transport/endpoint.ts";
import { listen } from "../../src/transport/listen.ts";
import { Listener } from "../../src/transport/listener.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { connectedEndpoints } from "./connected.ts";

const uri = parseUri("tcp:127.0.0.1:0");

Deno.test("Listener.accept() that is given up loses no connection", async () => {
  const listener = new Listener(uri, () => Promise.resolve());
  const controller = new AbortController();
  const first = listener.accept({ signal: controller.signal });
  const second = listener.accept();
  controller.abort();
  await assertRejects(() => first, CancelledError, "Accepting a connection was cancelled");
  await assertRejects(() => listener.accept({ timeoutMs: 1 }), TransportError, "nothing within");
  const [ours, peers] = await connectedEndpoints();
  listener.offer(ours);
  listener.offer(peers);
  assertStrictEquals(await second, ours);
  assertStrictEquals(await listener.accept(), peers);
  await ours.close();
  await peers.close();
  await listener.close();
});

Deno.test("Listener.close() ends every accept() and closes what nobody accepted", async () => {
  const listener = await listen(uri);
  const ours = openChannel((await connect(listener.uri)).handOff());
  const accepted = await listener.accept();
  const other = openChannel((await connect(listener.uri)).handOff());
  const third = await connect(listener.uri);
  await listener.close();
  await listener.close();
  assertEquals(await listener.accept(), undefined);
  assertEquals(await other.read(new Uint8Array(1)).catch(() => 0), 0);
  await accepted?.close();
  for (const channel of [ours, other]) channel.close();
  await third.close();

  const waiting = await listen(uri);
  const accepts = [waiting.accept(), waiting.accept()];
  await waiting.close();
  assertEquals(await Promise.all(accepts), [undefined, undefined]);
  await assertRejects(() => connect(waiting.uri), TransportError, "refused");
});

Deno.test("Listener keeps a bounded number of connections that nobody accepts", async () => {
  const listener = new Listener(uri, () => Promise.resolve());
  let closed = 0;
  const endpoint = { close: () => Promise.resolve(void closed++) } as Partial<Endpoint> as Endpoint;
  for (let i = 0; i < 600; i++) listener.offer(endpoint);
  assertEquals(closed, 88, "512 wait");
  await listener.close();
  assertEquals(closed, 600);
  listener.offer(endpoint);
  assertEquals(closed, 601);
});

Deno.test("Listener as an async iterator ends when it is closed", async () => {
  const listener = await listen(uri);
  const peers: string[] = [];
  const loop = async () => {
    for await (const endpoint of listener) {
      peers.push(endpoint.peer);
      await endpoint.close();
      if (peers.length === 3) await listener.close();
    }
  };
  const looping = loop();
  for (let i = 0; i < 3; i++) await (await connect(listener.uri)).close();
  await looping;
  assert(peers.every((peer) => peer.startsWith("tcp:127.0.0.1:")));
});

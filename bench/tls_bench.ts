/**
 * How fast TLS carries page bytes from one worker to another, over one channel and more, beside the same
 * bridge without TLS and beside TLS as Deno's own `listenTls` and `connectTls` have it (which cannot ask a
 * client for its certificate). Each iteration moves 1 GiB over each channel.
 *
 * @module
 */
import { connect } from "../src/transport/connect.ts";
import type { Endpoint } from "../src/transport/endpoint.ts";
import { listen } from "../src/transport/listen.ts";
import type { TransportOptions } from "../src/transport/options.ts";
import { parseUri } from "../src/transport/uri.ts";
import { Authority } from "../tests/support/certificates.ts";
import type { BenchOrder } from "./transport_bench_worker.ts";

/** One of the threads. */
class Peer {
  readonly #worker = new Worker(new URL("./transport_bench_worker.ts", import.meta.url), {
    type: "module",
  });

  tell(order: BenchOrder): Promise<unknown> {
    const answer = this.next();
    this.#worker.postMessage(order);
    return answer;
  }

  next(): Promise<unknown> {
    return new Promise((resolve) => this.#worker.onmessage = ({ data }) => resolve(data));
  }

  static async start(): Promise<Peer> {
    const peer = new Peer();
    await peer.next();
    return peer;
  }
}

const CHANNELS_MAX = 4;
const names = ["IP:127.0.0.1", "DNS:localhost"];
const authority = await Authority.create();
globalThis.addEventListener("unload", () => Deno.removeSync(authority.dir, { recursive: true }));
const server = await authority.issue("server", { names });
const client = await authority.issue("client");
const folder = await authority.folder({ server, client });
const peers = await Promise.all(Array.from({ length: 2 * CHANNELS_MAX }, () => Peer.start()));

async function carryOne(options: TransportOptions, sender: Peer, receiver: Peer): Promise<void> {
  await using listener = await listen(parseUri("tcp:127.0.0.1:0"), options);
  await using ours = await connect(listener.uri, options);
  await using theirs = await listener.accept() as Endpoint;
  const received = receiver.tell({ do: "receive", spec: theirs.handOff() });
  await sender.tell({ do: "send", spec: ours.handOff(), gather: true });
  await received;
}

async function carry(options: TransportOptions, channels: number): Promise<void> {
  await Promise.all(
    Array.from(
      { length: channels },
      (_, i) => carryOne(options, peers[2 * i]!, peers[2 * i + 1]!),
    ),
  );
}

async function carryDeno(): Promise<void> {
  const { certificate: cert, key } = server;
  using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  const { port } = listener.addr;
  const buffer = new Uint8Array(256 * 1024);
  const receive = async () => {
    using conn = await listener.accept();
    while (await conn.read(buffer) !== null);
  };
  const received = receive();
  const caCerts = [authority.own.certificate];
  const conn = await Deno.connectTls({ hostname: "127.0.0.1", port, caCerts });
  const chunk = new Uint8Array(512 * 1024).fill(1);
  for (let sent = 0; sent < 1 << 30; sent += chunk.length) {
    for (let at = 0; at < chunk.length;) at += await conn.write(chunk.subarray(at));
  }
  conn.close();
  await received;
}

const runs = { n: 3, warmup: 1 } as const;
const tls = { tls: { folder, farewell: true } };

Deno.bench("plain, over a bridge", { group: "1 GiB", baseline: true, ...runs }, async () => {
  await carry({ handOff: "bridge" }, 1);
});

Deno.bench("Deno's own TLS, without client certificates", { group: "1 GiB", ...runs }, async () => {
  await carryDeno();
});

for (const channels of [1, 2, 4]) {
  Deno.bench(`TLS, channels: ${channels}`, { group: "1 GiB", ...runs }, async () => {
    await carry(tls, channels);
  });
}

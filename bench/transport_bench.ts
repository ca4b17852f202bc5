/**
 * How fast a connection carries page bytes from one worker to another, beside `Deno.Conn` used directly
 * in both. Each iteration moves 1 GiB, so iterations per second are GiB/s.
 *
 * @module
 */
import type { ChannelSpec } from "../src/transport/channel.ts";
import { connect } from "../src/transport/connect.ts";
import type { Endpoint } from "../src/transport/endpoint.ts";
import { listen } from "../src/transport/listen.ts";
import type { TransportOptions } from "../src/transport/options.ts";
import { parseUri } from "../src/transport/uri.ts";
import type { BenchOrder } from "./transport_bench_worker.ts";

/** One of the two threads. */
class Peer {
  readonly #worker = new Worker(new URL("./transport_bench_worker.ts", import.meta.url), {
    type: "module",
  });

  next(): Promise<unknown> {
    return new Promise((resolve) => this.#worker.onmessage = ({ data }) => resolve(data));
  }

  tell(order: BenchOrder): Promise<unknown> {
    const answer = this.next();
    this.#worker.postMessage(order);
    return answer;
  }

  static async start(): Promise<Peer> {
    const peer = new Peer();
    await peer.next();
    return peer;
  }
}

const sender = await Peer.start();
const receiver = await Peer.start();

async function pair(uri: string, options: TransportOptions): Promise<[ChannelSpec, ChannelSpec]> {
  await using listener = await listen(parseUri(uri), options);
  const ours = await connect(listener.uri, options);
  const peers = await listener.accept() as Endpoint;
  return [ours.handOff(), peers.handOff()];
}

async function carry(uri: string, options: TransportOptions, gather: boolean): Promise<void> {
  const [ours, peers] = await pair(uri, options);
  const received = receiver.tell({ do: "receive", spec: peers });
  await sender.tell({ do: "send", spec: ours, gather });
  await received;
}

const runs = { n: 5, warmup: 1 } as const;
const directory = Deno.makeTempDirSync();
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
const unix = `unix:${directory}/bench.sock`;
const tcp = "tcp:127.0.0.1:0";

Deno.bench("Deno.Conn, contiguous (tcp)", { group: "1 GiB", baseline: true, ...runs }, async () => {
  const port = await receiver.tell({ do: "listen with Deno" }) as number;
  const received = receiver.next();
  await sender.tell({ do: "connect with Deno", port });
  await received;
});

Deno.bench("descriptor, contiguous (tcp)", { group: "1 GiB", ...runs }, async () => {
  await carry(tcp, {}, false);
});

Deno.bench("descriptor, 128 pages gathered (tcp)", { group: "1 GiB", ...runs }, async () => {
  await carry(tcp, {}, true);
});

Deno.bench("descriptor, contiguous (unix)", { group: "1 GiB", ...runs }, async () => {
  await carry(unix, {}, false);
});

Deno.bench("descriptor, 128 pages gathered (unix)", { group: "1 GiB", ...runs }, async () => {
  await carry(unix, {}, true);
});

Deno.bench("bridge, contiguous (tcp)", { group: "1 GiB", ...runs }, async () => {
  await carry(tcp, { handOff: "bridge" }, false);
});

/**
 * Two ends of one connection, for tests of what happens on it.
 *
 * @module
 */
import { assertExists } from "@std/assert";
import type { Channel } from "../../src/transport/channel.ts";
import { connect } from "../../src/transport/connect.ts";
import type { Endpoint } from "../../src/transport/endpoint.ts";
import { listen } from "../../src/transport/listen.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import type { TransportOptions } from "../../src/transport/options.ts";
import { parseUri } from "../../src/transport/uri.ts";

/** A TCP connection over the loopback: our end and the peer's. */
export async function connectedEndpoints(
  options: TransportOptions = {},
  uri = "tcp:127.0.0.1:0",
): Promise<[Endpoint, Endpoint]> {
  await using listener = await listen(parseUri(uri), options);
  const ours = await connect(listener.uri, options);
  const peers = await listener.accept();
  assertExists(peers);
  return [ours, peers];
}

/** The same, opened on this thread. */
export async function connectedChannels(
  options: TransportOptions = {},
  uri?: string,
): Promise<[Channel, Channel]> {
  const [ours, peers] = await connectedEndpoints(options, uri);
  return [openChannel(ours.handOff()), openChannel(peers.handOff())];
}

/** Reads until the end of the stream, or until there are `limit` bytes. */
export async function readAll(channel: Channel, limit = Infinity): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let total = 0;
  while (total < limit) {
    const part = new Uint8Array(Math.min(64 * 1024, limit - total));
    const count = await channel.read(part);
    if (count === 0) break;
    parts.push(part.subarray(0, count));
    total += count;
  }
  return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

/** A fresh directory that goes with the test. */
export function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = Deno.makeTempDirSync({ prefix: "ferry-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/**
 * Keeps the event loop going while all that is waited for is shared memory, which alone does not: with
 * both ends of a ring on one thread there is no worker that would.
 */
export function keepEventLoop(): Disposable {
  const timer = setInterval(() => {}, 1e6);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

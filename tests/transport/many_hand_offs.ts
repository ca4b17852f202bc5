/**
 * A program for open_channel_test.ts, because open descriptors can only be counted in a process of its
 * own: connections whose first bytes are read here, in pieces, and the rest in a worker, while the peer
 * is still writing. Prints how many of them lost no byte, and how many TCP sockets are open at the end.
 *
 * @module
 */
import { connect } from "../../src/transport/connect.ts";
import { listen } from "../../src/transport/listen.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { pattern } from "./pattern.ts";
import { RemoteChannel } from "./remote_channel.ts";

const HAND_OFFS = 100;
/** How long a socket may take to be closed once nobody uses it, in looks of 10 ms. */
const LOOKS = 1000;

/** How many TCP sockets this process has open; the runtime opens a pair of its own at some time. */
function openSockets(): number {
  const tcp = Deno.readTextFileSync("/proc/self/net/tcp");
  const inodes = new Set(tcp.split("\n").map((line) => line.trim().split(/\s+/)[9]));
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(Deno.readLinkSync(`/proc/self/fd/${name}`)) ?? [];
      if (inode !== undefined && inodes.has(inode)) count++;
    } catch {
      // The one that the directory is read through is gone.
    }
  }
  return count;
}

const remote = new RemoteChannel();
await remote.tell({ do: "close" }); // it has started
const listener = await listen({ kind: "tcp", host: "127.0.0.1", port: 0 });
let checked = 0;
for (let i = 0; i < HAND_OFFS; i++) {
  const size = 1 + (i * 7919) % 300_000;
  const ours = openChannel((await connect(listener.uri)).handOff());
  const peers = await listener.accept();
  if (!peers) throw new Error("The listener ended");
  const headLength = i % 13;
  const send = async () => {
    const split = i % 10;
    await ours.write(pattern(split));
    await ours.write(pattern(size, split));
    await ours.shutdown();
  };
  const sent = send();
  for (let part = 1; part <= headLength; part += 1 + i % 4) await peers.readHead(part);
  await remote.ask({ do: "open", spec: peers.handOff() });
  const { count, mismatch } = await remote.ask({ do: "read", count: Infinity });
  await sent;
  if (count === size + i % 10 && mismatch === -1) checked++;
  await remote.ask({ do: "close" });
  ours.close();
}
await listener.close();
// The worker's end is not the point: it has closed them one by one. But the runtime closes in its own time.
let open = openSockets();
for (let look = 0; open > 0 && look < LOOKS; look++) {
  await new Promise((resolve) => setTimeout(resolve, 10));
  open = openSockets();
}
await remote[Symbol.asyncDispose]();
Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify({ checked, open })));

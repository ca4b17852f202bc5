/**
 * A connection with itself, for a thread that rehearses (`threads/spare_workers.ts`) what it will do with one
 * that leads somewhere.
 *
 * @module
 */
import { socketPair } from "../os/socket_pair.ts";
import type { Channel, ChannelSpec } from "./channel.ts";
import { openChannel } from "./open_channel.ts";

/**
 * Does something with both ends of a connection, and closes them. Without FFI nothing is done.
 * @param rehearse What is done.
 */
export async function withRehearsalPair(
  rehearse: (here: Channel, there: Channel) => Promise<unknown>,
): Promise<void> {
  const pair = socketPair();
  if (!pair) return;
  const [here, there] = pair.map((fd) => openChannel(rehearsalEnd(fd))) as [Channel, Channel];
  try {
    await rehearse(here, there);
  } finally {
    here.close();
    there.close();
  }
}

/** One end of such a connection. */
export function rehearsalEnd(fd: number): ChannelSpec {
  return { kind: "descriptor", fd, peer: "nobody", direction: "both", transport: "tcp" };
}

/** Reads until the other end has ended its side. */
export async function readToEnd(channel: Channel): Promise<void> {
  const bytes = new Uint8Array(1 << 20);
  while (await channel.read(bytes) > 0);
}

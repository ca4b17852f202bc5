/// <reference lib="deno.worker" />
// Opens channels and does what it is told with them; see remote_channel.ts.
import type { Channel, ChannelSpec } from "../../src/transport/channel.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { patternByte } from "./pattern.ts";

/** What the main thread posts. */
export type RemoteOrder =
  & { readonly order: number }
  & (
    | { readonly do: "open"; readonly spec: ChannelSpec }
    | { readonly do: "read"; readonly count: number }
    | { readonly do: "write"; readonly from: number; readonly count: number }
    | { readonly do: "write for ever" | "shutdown" | "close" | "end" }
  );

/** What comes back: for a read, how many bytes and where they stop being the pattern. */
export interface RemoteAnswer {
  readonly order: number;
  readonly count?: number;
  readonly mismatch?: number;
  readonly error?: { readonly name: string; readonly message: string };
}

const shared = new WebAssembly.Memory({ initial: 32, maximum: 32, shared: true }).buffer;
const readInto = new Uint8Array(shared, 0, 1 << 20);
const writeFrom = new Uint8Array(shared, 1 << 20);
let channel: Channel | undefined;
let position = 0;

async function obey(order: RemoteOrder): Promise<Partial<RemoteAnswer>> {
  if (order.do === "open") {
    channel = openChannel(order.spec);
    position = 0;
    return {};
  }
  if (order.do === "end") {
    setTimeout(() => self.close());
    return {};
  }
  if (!channel) throw new Error("Nothing is open");
  switch (order.do) {
    case "read":
      return await read(channel, order.count);
    case "write":
      await write(channel, order.from, order.count);
      return {};
    case "write for ever":
      for (;;) await channel.write(writeFrom);
    case "shutdown":
      await channel.shutdown();
      return {};
    case "close":
      channel.close();
      return {};
  }
}

async function read(channel: Channel, limit: number): Promise<{ count: number; mismatch: number }> {
  let count = 0;
  let mismatch = -1;
  while (count < limit) {
    const into = readInto.subarray(0, Math.min(readInto.length, limit - count));
    const got = await channel.read(into);
    if (got === 0) break;
    for (let i = 0; i < got && mismatch < 0; i++) {
      if (into[i] !== patternByte(position + i)) mismatch = position + i;
    }
    count += got;
    position += got;
  }
  return { count, mismatch };
}

async function write(channel: Channel, from: number, count: number): Promise<void> {
  for (let at = 0; at < count; at += writeFrom.length) {
    const part = writeFrom.subarray(0, Math.min(writeFrom.length, count - at));
    for (let i = 0; i < part.length; i++) part[i] = patternByte(from + at + i);
    await channel.write(part);
  }
}

self.onmessage = async (event: MessageEvent<RemoteOrder>) => {
  const { order } = event.data;
  try {
    self.postMessage({ order, ...await obey(event.data) } satisfies RemoteAnswer);
  } catch (error) {
    const { name, message } = error as Error;
    self.postMessage({ order, error: { name, message } } satisfies RemoteAnswer);
  }
};

/** A channel's thread that places pages as it should, and dies when it has received some. */
import { type MultifdReceiveStart, receiveLoop } from "../../src/multifd/receive_loop.ts";
import { serveWorker } from "../../src/threads/worker_port.ts";
import type { Channel } from "../../src/transport/channel.ts";
import { openChannel } from "../../src/transport/open_channel.ts";

/** After so many bytes it is in the middle of the first round, also when they are compressed. */
const LAST_BYTES = 20_000;

/** A channel that ends the thread. */
function deadly(channel: Channel): Channel {
  let left = LAST_BYTES;
  return new Proxy(channel, {
    get: (_, member) => {
      if (member === "read") {
        return async (into: Uint8Array) => {
          const count = await channel.read(into);
          left -= count;
          if (left < 0) Deno.exit(1);
          return count;
        };
      }
      const own = channel[member as keyof Channel];
      return typeof own === "function" ? own.bind(channel) : own;
    },
  });
}

serveWorker<MultifdReceiveStart>(async (start, port) => {
  const channel = openChannel(start.channel);
  port.ready();
  const stopped = port.receive().then(() => channel.close());
  await receiveLoop(deadly(channel), start).catch(() => stopped);
});

/**
 * The thread of one outgoing multifd channel.
 *
 * @module
 */
import { type MultifdSendStart, SendLoop } from "../src/multifd/send_loop.ts";
import { rehearseSending } from "../src/multifd/rehearsal.ts";
import { serveWorker } from "../src/threads/worker_port.ts";
import { openChannel } from "../src/transport/open_channel.ts";

serveWorker<MultifdSendStart>(async (start, port) => {
  const channel = openChannel(start.channel);
  try {
    const loop = new SendLoop(channel, start);
    port.ready();
    const stopped = port.receive().then(() => channel.close());
    if (!await loop.run()) return await stopped;
    await channel.shutdown();
  } finally {
    channel.close();
  }
}, rehearseSending);

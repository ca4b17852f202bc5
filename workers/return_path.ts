/**
 * The thread of a source's return path.
 *
 * @module
 */
import { returnPathLoop, type ReturnPathStart } from "../src/postcopy/return_path_loop.ts";
import { serveWorker } from "../src/threads/worker_port.ts";
import { openChannel } from "../src/transport/open_channel.ts";
import type { ReturnPathMessage } from "../src/wire/return_path.ts";

serveWorker<ReturnPathStart, never, ReturnPathMessage>(async (start, port) => {
  const channel = openChannel(start.channel);
  port.ready();
  let stopping = false;
  const stopped = port.receive().then(() => {
    stopping = true;
    channel.close();
  });
  try {
    await returnPathLoop(channel, (message) => port.post(message));
  } catch (error) {
    if (!stopping) throw error;
    await stopped;
  } finally {
    channel.close();
  }
});

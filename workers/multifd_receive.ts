/**
 * The thread of one incoming multifd channel.
 *
 * @module
 */
import { type MultifdReceiveStart, receiveLoop } from "../src/multifd/receive_loop.ts";
import { rehearseReceiving } from "../src/multifd/rehearsal.ts";
import { serveWorker } from "../src/threads/worker_port.ts";
import { openChannel } from "../src/transport/open_channel.ts";

serveWorker<MultifdReceiveStart>(async (start, port) => {
  const channel = openChannel(start.channel);
  port.ready();
  let stopping = false;
  const stopped = port.receive().then(() => {
    stopping = true;
    channel.close();
  });
  try {
    await receiveLoop(channel, start);
  } catch (error) {
    if (!stopping) throw error;
    await stopped;
  } finally {
    channel.close();
  }
}, rehearseReceiving);

/**
 * The thread of an outgoing main channel.
 *
 * @module
 */
import { rehearseSaving } from "../src/ram/rehearsal.ts";
import { endSending, type MainSendStart, saveLoop } from "../src/ram/save_loop.ts";
import { serveWorker } from "../src/threads/worker_port.ts";
import { FileChannel } from "../src/transport/file_channel.ts";
import { openChannel } from "../src/transport/open_channel.ts";

serveWorker<MainSendStart>(async (start, port) => {
  const channel = openChannel(start.channel);
  port.ready();
  const stopped = port.receive().then(() => channel.close());
  try {
    if (!await saveLoop(channel, start)) return await stopped;
    if (channel instanceof FileChannel) channel.sync();
    await endSending(channel, start.channel.kind === "file" || start.channel.direction !== "both");
  } finally {
    channel.close();
  }
}, rehearseSaving);

/** A channel's thread that gets as far as having its connection, and dies. */
import type { MultifdSendStart } from "../../src/multifd/send_loop.ts";
import { serveWorker } from "../../src/threads/worker_port.ts";
import { openChannel } from "../../src/transport/open_channel.ts";

serveWorker<MultifdSendStart>((start, port) => {
  openChannel(start.channel);
  port.ready();
  setTimeout(() => Deno.exit(1), 20);
  return port.receive().then(() => {});
});

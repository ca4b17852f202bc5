/**
 * A thread that reads pages from a mapped-ram file.
 *
 * @module
 */
import { type MappedReadStart, ReadLoop } from "../src/mapped_ram/read_loop.ts";
import { serveWorker } from "../src/threads/worker_port.ts";
import { FileChannel } from "../src/transport/file_channel.ts";

serveWorker<MappedReadStart>((start, port) => {
  const file = new FileChannel(start.file);
  try {
    const loop = new ReadLoop(file, start);
    port.ready();
    loop.run();
  } finally {
    file.close();
  }
});

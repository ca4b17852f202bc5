/**
 * A thread that writes pages to a mapped-ram file.
 *
 * @module
 */
import { type MappedWriteStart, WriteLoop } from "../src/mapped_ram/write_loop.ts";
import { serveWorker } from "../src/threads/worker_port.ts";
import { FileChannel } from "../src/transport/file_channel.ts";

serveWorker<MappedWriteStart>((start, port) => {
  const file = new FileChannel(start.file);
  try {
    const loop = new WriteLoop(file, start);
    port.ready();
    loop.run();
  } finally {
    file.close();
  }
});

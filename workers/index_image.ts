/**
 * The thread that reads through an image to index it.
 *
 * @module
 */
import { type IndexedImage, walkImage } from "../src/image/index_image.ts";
import { serveWorker } from "../src/threads/worker_port.ts";
import type { FileSpec } from "../src/transport/channel.ts";

serveWorker<FileSpec, never, IndexedImage>(async (file, port) => {
  port.ready();
  port.post(await walkImage(file));
});

/**
 * Opens an image to be served from where it lies: nothing of its RAM is loaded.
 *
 * @module
 */
import { WorkerHandle } from "../threads/worker_handle.ts";
import type { FileSpec } from "../transport/channel.ts";
import { fileSpec } from "../transport/file_channel.ts";
import { type IndexedImage, readIndexed } from "./index_image.ts";
import type { LoadImageOptions } from "./load_image.ts";
import { MachineImage } from "./machine_image.ts";

/** The module of the worker that indexes an image. */
const INDEX_IMAGE = new URL("../../workers/index_image.ts", import.meta.url);

/**
 * Opens an image. One that Ferry wrote has an index and is open at once, whatever its size; one that a QEMU
 * wrote is read through once, in a thread. The file must stay as it is while the image is used.
 * @param name The file's name, from the current directory.
 * @throws {TransportError} If the file cannot be read.
 * @throws {StreamFormatError | ConnectionLostError} If it is no stream, or not a complete one.
 * @throws {IncompatibleError} If it has what cannot be served from a file.
 */
export async function openImage(
  name: string,
  options: LoadImageOptions = {},
): Promise<MachineImage> {
  const file = fileSpec(name, options.offset ?? 0, "read");
  const indexed = await readIndexed(file) ?? await indexInThread(file);
  const { configuration, blocks, ramSectionId, index, as } = indexed;
  const image = MachineImage.ofFile(configuration, blocks, ramSectionId, { file, index, as });
  image.sections.push(...indexed.sections);
  image.hasSwitchoverStart = indexed.hasSwitchoverStart;
  image.finish(indexed.description);
  return image;
}

async function indexInThread(file: FileSpec): Promise<IndexedImage> {
  let indexed: IndexedImage | undefined;
  const worker = await WorkerHandle.start<FileSpec, never, IndexedImage>({
    name: "image index",
    url: INDEX_IMAGE,
    start: file,
    onMessage: (message) => indexed = message,
  });
  try {
    await worker.ended;
  } finally {
    await worker.stop();
  }
  return indexed!;
}

/**
 * Loads an image from a file that a QEMU or a Ferry wrote: all of its RAM, and its sections as they are.
 *
 * @module
 */
import { IncomingStream } from "../ram/incoming_stream.ts";
import { loadStream } from "../savevm/load.ts";
import { fileSpec } from "../transport/file_channel.ts";
import { readVmDescription } from "../wire/vm_description.ts";
import { ImageLoader, noRam, notAllRam } from "./image_loader.ts";
import { MachineImage } from "./machine_image.ts";
import { beginsMappedRam, loadMappedImage } from "./mapped_image.ts";

/** Where in a file the stream is. */
export interface LoadImageOptions {
  /** Where it begins, in bytes. @default {0} */
  readonly offset?: number;
}

/**
 * Loads an image into memory.
 * @param name The file's name, from the current directory.
 * @throws {TransportError} If the file cannot be read.
 * @throws {StreamFormatError | ConnectionLostError} If it is no stream, or not a complete one.
 * @throws {IncompatibleError} If it has what an image cannot hold.
 */
export async function loadImage(
  name: string,
  options: LoadImageOptions = {},
): Promise<MachineImage> {
  const file = fileSpec(name, options.offset ?? 0, "read");
  if (await beginsMappedRam(file)) return await loadMappedImage(file);
  const stream = await IncomingStream.start(file);
  try {
    let image: MachineImage | undefined;
    const loader = new ImageLoader({
      prepare({ configuration, blocks, ramSectionId }) {
        image = MachineImage.create(configuration, blocks, ramSectionId);
        stream.setRam(image.ram);
      },
      loadPages: () => stream.loadPages(),
    });
    await loadStream(stream.reader, loader);
    if (!image) throw noRam();
    if (!loader.isRamComplete && !image.hasAllPages) throw notAllRam();
    image.sections.push(...loader.sections);
    image.hasSwitchoverStart = loader.hasSwitchoverStart;
    image.finish(await readVmDescription(stream.reader));
    return image;
  } finally {
    await stream[Symbol.asyncDispose]();
  }
}

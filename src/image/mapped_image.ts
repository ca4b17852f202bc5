/**
 * Writes and reads machine images as mapped-ram files (wire-format §7): what a stock QEMU writes with
 * `migrate file:…` and loads with `migrate-incoming file:…` when its capability `mapped-ram` is on.
 *
 * @module
 */
import { type MigrationError, StateError } from "../errors.ts";
import { MappedReader } from "../mapped_ram/mapped_reader.ts";
import { MappedWriter } from "../mapped_ram/mapped_writer.ts";
import { OutgoingStream } from "../ram/outgoing_stream.ts";
import { RamSaver } from "../ram/save.ts";
import { loadStream } from "../savevm/load.ts";
import { Progress } from "../threads/job_ring.ts";
import type { FileSpec } from "../transport/channel.ts";
import { readConfiguration, withCapability } from "../wire/configuration.ts";
import { readStreamHeader } from "../wire/stream_header.ts";
import { readVmDescription } from "../wire/vm_description.ts";
import { ImageLoader, isMappedRam, noRam, notAllRam, requireAllRam } from "./image_loader.ts";
import { writeImageElements } from "./image_stream.ts";
import { MachineImage } from "./machine_image.ts";

/** Two threads are as fast as a disk. */
const THREADS = ["pages 0", "pages 1"];

/**
 * Writes the whole file; when it resolves, it is on the device.
 * @param image What is written; it stays as it is.
 * @param file Where to; empty.
 * @throws {TransportError} If the file cannot be written.
 * @throws {StateError} If the image's pages are in another file.
 * @throws {IncompatibleError} If the image leaves RAM out.
 */
export async function writeMappedImage(image: MachineImage, file: FileSpec): Promise<void> {
  if (image.pages) throw new StateError("The image's pages are in another file: load it first");
  const { configuration, ram, ramSectionId } = image;
  requireAllRam(configuration);
  const progress = new Progress();
  let failure: MigrationError | undefined;
  const onFailure = (error: MigrationError) => {
    failure ??= error;
    progress.bump();
  };
  const check = () => {
    if (failure) throw failure;
  };
  await using stack = new AsyncDisposableStack();
  const detectZero = true;
  const writer = stack.use(
    new MappedWriter({ file, ram, progress, detectZero, onFailure, names: THREADS }),
  );
  const stream = stack.use(
    await OutgoingStream.start({ channel: file, ram, progress, encoder: { detectZero } }),
  );
  stream.ended.catch(onFailure);
  const saver = new RamSaver(ram, stream, writer, ramSectionId);
  const named = withCapability(configuration, "mapped-ram", true);
  await writeImageElements(image, stream, saver, check, named);
  await stream.end(check);
}

/** Whether a file's stream says that it is a mapped-ram file. */
export async function beginsMappedRam(file: FileSpec): Promise<boolean> {
  using mapped = new MappedReader(file);
  await readStreamHeader(mapped.reader);
  return isMappedRam(await readConfiguration(mapped.reader));
}

/**
 * Loads a mapped-ram file into memory.
 * @throws {TransportError} If the file cannot be read.
 * @throws {StreamFormatError | ConnectionLostError} If it is none, or not a complete one.
 * @throws {IncompatibleError} If it has what an image cannot hold.
 */
export async function loadMappedImage(file: FileSpec): Promise<MachineImage> {
  using mapped = new MappedReader(file);
  let image: MachineImage | undefined;
  const loader = new ImageLoader({
    readPlace: (entry, pageSize) => mapped.readPlace(entry, pageSize),
    async prepare({ configuration, blocks, ramSectionId }) {
      image = MachineImage.create(configuration, blocks, ramSectionId);
      await mapped.loadPages(image.ram, { names: THREADS, file });
    },
    loadPages: () => mapped.refuseRecord(),
  });
  await loadStream(mapped.reader, loader);
  if (!image) throw noRam();
  // All pages are there from the start, but the file is not finished before its stream is.
  if (!loader.isRamComplete) throw notAllRam();
  image.sections.push(...loader.sections);
  image.hasSwitchoverStart = loader.hasSwitchoverStart;
  image.finish(await readVmDescription(mapped.reader));
  return image;
}

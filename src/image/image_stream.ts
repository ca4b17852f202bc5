/**
 * Writes a machine image as the stream that a stock QEMU would have written to a file (wire-format §1.5):
 * every page once, then the sections as they came. Behind it comes an index (`index_trailer.ts`).
 *
 * @module
 */
import { asMigrationError, type MigrationError } from "../errors.ts";
import { OutgoingStream } from "../ram/outgoing_stream.ts";
import { RamSaver } from "../ram/save.ts";
import { Progress } from "../threads/job_ring.ts";
import type { FileSpec } from "../transport/channel.ts";
import { FileChannel } from "../transport/file_channel.ts";
import { Command, writeCommand } from "../wire/command.ts";
import { type Configuration, writeConfiguration } from "../wire/configuration.ts";
import { ElementType, SECTION_FOOTER_SIZE } from "../wire/section.ts";
import { writeStreamHeader } from "../wire/stream_header.ts";
import { writeVmDescription } from "../wire/vm_description.ts";
import { writeIndexTrailer } from "./index_trailer.ts";
import type { MachineImage } from "./machine_image.ts";
import { PageIndex } from "../ram/page_index.ts";

/** The record that ends a section of RAM, and its footer, in bytes. */
const SECTION_END_SIZE = 8 + SECTION_FOOTER_SIZE;

/**
 * Writes the whole stream; when it resolves, the file is on the device.
 * @param image What is written; it stays as it is.
 * @param file Where to.
 * @throws {TransportError} If the file cannot be written.
 */
export async function writeImageStream(image: MachineImage, file: FileSpec): Promise<void> {
  const index = PageIndex.create(image.ram.blocks.map(({ pageCount }) => pageCount));
  const stream = await OutgoingStream.start({
    channel: file,
    ram: image.ram,
    progress: new Progress(),
    encoder: { detectZero: true, pages: image.pages },
    index: index.layout,
  });
  let failure: MigrationError | undefined;
  stream.ended.catch((error) => failure = asMigrationError(error));
  const check = () => {
    if (failure) throw failure;
  };
  try {
    const saver = new RamSaver(image.ram, stream, stream, image.ramSectionId);
    const recordsEnd = await writeImageElements(image, stream, saver, check);
    await stream.end(check);
    const channel = new FileChannel(file);
    try {
      await writeIndexTrailer(channel, stream.counters.get("bytes"), index, recordsEnd);
    } finally {
      channel.close();
    }
  } finally {
    await stream[Symbol.asyncDispose]();
  }
}

/**
 * Writes all elements; the end of the stream is the caller's.
 * @param saver Writes the section of RAM.
 * @returns Where the last page's record ends, in bytes from the stream's start.
 */
export async function writeImageElements(
  image: MachineImage,
  stream: OutgoingStream,
  saver: RamSaver,
  check: () => void,
  configuration: Configuration = image.configuration,
): Promise<number> {
  const { writer } = stream;
  writeStreamHeader(writer);
  writeConfiguration(writer, configuration);
  image.markDirty();
  await saver.sendStart(image.blocks, check);
  if (image.hasSwitchoverStart) writeCommand(writer, Command.SWITCHOVER_START);
  await saver.sendEnd(check);
  await stream.drained(check);
  const recordsEnd = stream.counters.get("bytes") - SECTION_END_SIZE;
  const description = image.writeSections(writer);
  writer.u8(ElementType.EOF);
  writeVmDescription(writer, description);
  return recordsEnd;
}

/**
 * Puts an image into a file that a stock QEMU loads: under its name there is the complete file on the device,
 * or what was there before.
 *
 * @module
 */
import fs from "node:fs";
import path from "node:path";
import { TransportError } from "../errors.ts";
import { fileSpec } from "../transport/file_channel.ts";
import { reasonOf } from "../transport/os_error.ts";
import type { ImageFormat } from "./image_format.ts";
import { writeImageStream } from "./image_stream.ts";
import { writeMappedImage } from "./mapped_image.ts";
import type { MachineImage } from "./machine_image.ts";

/**
 * Saves an image. When it resolves, the file is complete, on the device and in its place.
 * @param image What is saved; it stays as it is.
 * @param name The file's name, from the current directory. A file that is there is replaced.
 * @param format What the file is to be.
 * @throws {TransportError} If that cannot be done; nothing is left of the attempt.
 */
export async function saveImage(
  image: MachineImage,
  name: string,
  format: ImageFormat = "stream",
): Promise<void> {
  const file = path.resolve(name);
  const partial = `${file}.partial-${crypto.randomUUID().slice(0, 8)}`;
  try {
    const write = format === "stream" ? writeImageStream : writeMappedImage;
    await write(image, fileSpec(partial, 0, "write"));
    put(partial, file);
  } catch (error) {
    fs.rmSync(partial, { force: true });
    throw error;
  }
}

/** Gives a file its name, and has the folder remember it. */
function put(partial: string, file: string): void {
  try {
    fs.renameSync(partial, file);
    const folder = fs.openSync(path.dirname(file), fs.constants.O_RDONLY);
    try {
      fs.fsyncSync(folder);
    } finally {
      fs.closeSync(folder);
    }
  } catch (cause) {
    throw new TransportError(`Cannot put the image at ${file}: ${reasonOf(cause)}`, { cause });
  }
}

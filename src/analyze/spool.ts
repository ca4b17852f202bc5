/**
 * Puts what can be read only once into a file without a name, which is gone with the program.
 *
 * @module
 */
import { type ReadableBytes, type SyncFile, temporaryFile } from "../transport/sync_file.ts";

/** How much is copied in one go, in bytes. */
const COPY_SIZE = 256 * 1024;

/**
 * Copies all of a source.
 * @param source Anything.
 * @returns The copy, under the source's name.
 * @throws {TransportError} If reading or writing fails.
 */
export function spool(source: ReadableBytes): SyncFile {
  const file = temporaryFile(source.name);
  try {
    const bytes = new Uint8Array(COPY_SIZE);
    for (let position = 0;;) {
      const count = source.read(bytes, position);
      if (count === 0) return file;
      file.write(bytes.subarray(0, count), position);
      position += count;
    }
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

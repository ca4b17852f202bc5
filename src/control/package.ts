/**
 * PACKAGED: a part of the stream that is held in memory, so that what follows it can be read while its
 * elements are loaded (wire-format §2; QEMU `migration/savevm.c`, `loadvm_handle_cmd_packaged`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { ByteReader } from "../wire/byte_reader.ts";
import type { ReceivedCommand } from "../wire/command.ts";

/** The most device state that is held in memory, in bytes; a large graphics card's is some 20 MiB. */
export const PACKAGE_MAX = 256 * 1024 ** 2;
/** Memory is taken as bytes come, at first so much. */
const FIRST = 1024 ** 2;

/**
 * Reads a package.
 * @param received The command, which says how long it is.
 * @param reader Behind the command.
 * @returns A reader of its elements.
 * @throws {StreamFormatError} If it is longer than {@linkcode PACKAGE_MAX}.
 * @throws {ConnectionLostError} If the stream ends inside.
 */
export async function readPackage(
  received: ReceivedCommand,
  reader: ByteReader,
): Promise<ByteReader> {
  const length = await received.payload.be32("a package's length");
  if (length > PACKAGE_MAX) {
    throw new StreamFormatError(
      `A package of ${length} bytes: at most ${PACKAGE_MAX} are received`,
    );
  }
  const base = reader.position;
  let bytes = new Uint8Array(Math.min(length, FIRST));
  for (let filled = 0; filled < length; filled = bytes.length) {
    if (filled > 0) {
      const larger = new Uint8Array(Math.min(length, 2 * filled));
      larger.set(bytes);
      bytes = larger;
    }
    await reader.readInto(bytes.subarray(filled), "a package");
  }
  return ByteReader.of(bytes, base);
}

/**
 * The first eight bytes of a stream: magic and version (wire-format §1.2; QEMU `migration/savevm.c`,
 * `qemu_savevm_state_header` and `qemu_loadvm_state_header`).
 *
 * @module
 */
import { IncompatibleError, StreamFormatError } from "../errors.ts";
import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";

/** `QEVM` as a big-endian number. */
export const STREAM_MAGIC = 0x5145564d;
/** The only version in use since 2009. */
export const STREAM_VERSION = 3;
/** Magic and version together, in bytes. */
export const STREAM_HEADER_SIZE = 8;

/** Whether a stream begins like a TLS handshake: content type 22, version 3.x. */
function isTls(magic: number): boolean {
  return magic >>> 16 === 0x1603;
}

/** Writes magic and version. */
export function writeStreamHeader(writer: ByteWriter): void {
  writer.be32(STREAM_MAGIC).be32(STREAM_VERSION);
}

/**
 * Reads and checks magic and version.
 * @throws {StreamFormatError} If the magic is another: not a migration stream.
 * @throws {IncompatibleError} If the version is not 3.
 */
export async function readStreamHeader(reader: ByteReader): Promise<void> {
  const offset = reader.position;
  const magic = await reader.be32("the stream's magic");
  if (magic !== STREAM_MAGIC) {
    throw new StreamFormatError(
      `Not a migration stream: it begins with 0x${magic.toString(16).padStart(8, "0")}, not "QEVM"`,
      {
        place: { offset },
        advice: isTls(magic)
          ? "The source speaks TLS: give this side tls-creds too, or unset the source's."
          : "Check that it comes from a QEMU or a Ferry that migrates, or from a file that one of them wrote.",
      },
    );
  }
  const version = await reader.be32("the stream's version");
  if (version !== STREAM_VERSION) {
    throw new IncompatibleError(
      version === 2
        ? "Stream version 2 is obsolete; only version 3 can be read"
        : `Stream version ${version} is unknown; only version 3 can be read`,
      { place: { offset: offset + 4 } },
    );
  }
}

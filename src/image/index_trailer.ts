/**
 * The index at the end of an image file that Ferry wrote, behind the stream, where no QEMU looks: with it
 * an image of any size opens at once.
 *
 * ```text
 * stream │ table: a little-endian 64-bit float for each page (page_index.ts) │ footer
 * footer   "FERRYIDX"  be32 version  be32 CRC-32 of the table
 *          be64 where the table begins  be64 its length  be64 where the page records end
 *          be32 0  be32 CRC-32 of the footer before it
 * ```
 *
 * Offsets count from the stream's first byte. A trailer that does not fit what is there is as good as none.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { FileChannel } from "../transport/file_channel.ts";
import { ByteWriter } from "../wire/byte_writer.ts";
import type { PageIndex } from "../ram/page_index.ts";

const MAGIC = "FERRYIDX";
const VERSION = 1;
const FOOTER_SIZE = 48;

/** What the trailer holds. */
export interface IndexTrailer {
  /** The page index's table. */
  readonly table: SharedArrayBuffer;
  /** Where the last page's record ends, from the stream's first byte, in bytes. */
  readonly recordsEnd: number;
}

/**
 * Writes the trailer, and has the device keep it.
 * @param file The file, with the whole stream from its first byte on.
 * @param streamLength How long that is, in bytes.
 */
export async function writeIndexTrailer(
  file: FileChannel,
  streamLength: number,
  index: PageIndex,
  recordsEnd: number,
): Promise<void> {
  const table = new Uint8Array(index.layout.table);
  const footer = new ByteWriter(FOOTER_SIZE)
    .bytes(new TextEncoder().encode(MAGIC)).be32(VERSION).be32(crc32(table))
    .be64(streamLength).be64(table.length).be64(recordsEnd).be32(0);
  footer.be32(crc32(footer.copy()));
  await file.writeAt(table, streamLength);
  await file.writeAt(footer.take(), streamLength + table.length);
  file.sync();
}

/**
 * Reads the trailer.
 * @param offset Where in the file the stream begins, in bytes.
 * @returns What it holds, or `undefined` if there is none or it is damaged.
 */
export async function readIndexTrailer(
  file: FileChannel,
  offset: number,
): Promise<IndexTrailer | undefined> {
  const end = file.size;
  const bytes = new Uint8Array(FOOTER_SIZE);
  if (end < offset + FOOTER_SIZE) return undefined;
  await file.readAt(bytes, end - FOOTER_SIZE);
  const view = new DataView(bytes.buffer);
  if (new TextDecoder().decode(bytes.subarray(0, 8)) !== MAGIC) return undefined;
  if (view.getUint32(8) !== VERSION) return undefined;
  if (view.getUint32(44) !== crc32(bytes.subarray(0, 44))) return undefined;
  const start = Number(view.getBigUint64(16));
  const length = Number(view.getBigUint64(24));
  if (offset + start + length + FOOTER_SIZE !== end || length % 8 !== 0) return undefined;
  const table = new SharedArrayBuffer(length);
  const content = new Uint8Array(table);
  if (await file.readAt(content, offset + start) !== length) return undefined;
  if (crc32(content) !== view.getUint32(12)) return undefined;
  return { table, recordsEnd: Number(view.getBigUint64(32)) };
}

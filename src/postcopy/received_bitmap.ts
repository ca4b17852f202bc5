/**
 * What follows RECV_BITMAP on the return path: which pages of a block the destination has (wire-format
 * §8.9; QEMU `migration/ram.c`, `ram_dirty_bitmap_reload`). What it has not must be sent again.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import { RECV_BITMAP_END_MARK } from "../wire/return_path.ts";

/** Read in pieces of so many bytes. */
const PIECE = 32 * 1024;

/** How many bytes the bitmap of so many pages has: whole 64-bit words. */
export function receivedBitmapSize(pageCount: number): number {
  return Math.ceil(pageCount / 64) * 8;
}

/**
 * Reads a bitmap and makes those pages dirty that it lacks, and no other.
 * @param reader Behind the message.
 * @param block The block that the message named.
 * @throws {StreamFormatError} If it is of another size or not ended by its mark.
 */
export async function readReceivedBitmap(reader: ByteReader, block: RamBlock): Promise<void> {
  const offset = reader.position;
  const refuse = (why: string): never => {
    throw new StreamFormatError(`The received bitmap of RAM block "${block.name}" ${why}`, {
      place: { channel: "return path", offset },
    });
  };
  const size = await reader.be64("a received bitmap's size");
  const expected = receivedBitmapSize(block.pageCount);
  if (size !== BigInt(expected)) refuse(`has ${size} bytes, not ${expected}`);
  const missing = new Int32Array(expected / 4);
  const bytes = new Uint8Array(missing.buffer);
  for (let at = 0; at < expected; at += PIECE) {
    await reader.readInto(bytes.subarray(at, at + PIECE), "a received bitmap");
  }
  if (await reader.be64("a received bitmap's end") !== RECV_BITMAP_END_MARK) {
    refuse("is not followed by its end mark");
  }
  const { words } = block.dirty;
  for (let i = 0; i < words.length; i++) {
    const pages = Math.min(32, Math.max(0, block.pageCount - 32 * i));
    const mask = pages === 32 ? -1 : (1 << pages) - 1;
    Atomics.store(words, i, ~(missing[i] ?? -1) & mask);
  }
}

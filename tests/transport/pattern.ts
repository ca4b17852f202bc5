/**
 * Bytes that differ at every offset, so that a byte lost, doubled or moved shows.
 *
 * @module
 */

/** The byte at an offset of the stream. */
export function patternByte(offset: number): number {
  return (offset ^ (offset >>> 8) * 31 ^ (offset >>> 16) * 17) & 0xff;
}

/** The bytes from an offset on. */
export function pattern(length: number, offset = 0): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => patternByte(offset + i));
}

/** The first offset where `bytes` are not the pattern's, or -1. */
export function patternMismatch(bytes: Uint8Array, offset = 0): number {
  return bytes.findIndex((byte, i) => byte !== patternByte(offset + i));
}

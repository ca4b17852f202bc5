/**
 * Whole arrays of numbers between typed arrays and the stream: copied as bytes, then swapped in place,
 * because the stream is big-endian.
 *
 * @module
 */
import type { ByteWriter } from "../wire/byte_writer.ts";
import type { Loading } from "./loading.ts";

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
/** Bytes that are swapped at a time on the way out, so that an array's copy stays in the cache. */
const CHUNK = 16384;

/**
 * Appends elements of a typed array.
 * @param start The first element.
 * @param count How many.
 */
export function saveNumbers(
  writer: ByteWriter,
  array: ArrayBufferView,
  start: number,
  count: number,
): void {
  const width = bytesPerElement(array);
  const bytes = new Uint8Array(array.buffer, array.byteOffset + start * width, count * width);
  if (width === 1 || !LITTLE_ENDIAN) {
    writer.bytes(bytes);
    return;
  }
  const chunk = new Uint8Array(Math.min(CHUNK, bytes.length));
  for (let at = 0; at < bytes.length; at += CHUNK) {
    const part = chunk.subarray(0, Math.min(CHUNK, bytes.length - at));
    part.set(bytes.subarray(at, at + part.length));
    swap(part, width);
    writer.bytes(part);
  }
}

/**
 * Reads elements into a typed array; gives a promise only if it has to wait.
 * @param start The first element.
 * @param count How many.
 */
export function loadNumbers(
  loading: Loading,
  array: ArrayBufferView,
  start: number,
  count: number,
): void | Promise<void> {
  const width = bytesPerElement(array);
  const bytes = new Uint8Array(array.buffer, array.byteOffset + start * width, count * width);
  const waited = loading.fill(bytes);
  if (waited) return waited.then(() => swap(bytes, width));
  swap(bytes, width);
}

function bytesPerElement(array: ArrayBufferView): number {
  return (array as Uint8Array).BYTES_PER_ELEMENT;
}

/** Swaps each element's bytes; `bytes` begins where an element of that width can. */
function swap(bytes: Uint8Array, width: number): void {
  if (width === 1 || !LITTLE_ENDIAN) return;
  if (width === 2) {
    const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 1);
    for (let i = 0; i < halves.length; i++) {
      const half = halves[i]!;
      halves[i] = (half << 8) | (half >>> 8);
    }
    return;
  }
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
  for (let i = 0; i < words.length; i++) words[i] = swap32(words[i]!);
  if (width === 4) return;
  for (let i = 0; i < words.length; i += 2) {
    const word = words[i]!;
    words[i] = words[i + 1]!;
    words[i + 1] = word;
  }
}

function swap32(word: number): number {
  return ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

/**
 * Two sockets that are connected with each other and with nothing else.
 *
 * @module
 */
import { libc } from "./libc.ts";

const UNIX = 1;
/** A stream that does not block and is closed on exec (`socket(2)`). */
const STREAM = 1 | 0o4000 | 0o2000000;

/** Makes a pair. @returns Their descriptors; `undefined` without FFI. */
export function socketPair(): [number, number] | undefined {
  const pair = new Int32Array(2);
  if (libc()?.socketpair(UNIX, STREAM, 0, pair) !== 0) return undefined;
  return [pair[0]!, pair[1]!];
}

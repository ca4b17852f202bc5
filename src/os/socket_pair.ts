/**
 * Two sockets that are connected with each other and with nothing else.
 *
 * @module
 */
import { libc } from "./libc.ts";

const UNIX = 1;
/** A stream that does not block and is closed on exec (`socket(2)`). */
const STREAM = 1 | 0o4000 | 0o2000000;

/** Each write is a read of its own. */
const PACKETS = 5 | 0o4000 | 0o2000000;

/**
 * Makes a pair.
 * @param kind Whether a read takes what there is, or what one write brought.
 * @returns Their descriptors; `undefined` without FFI.
 */
export function socketPair(kind: "stream" | "packets" = "stream"): [number, number] | undefined {
  const pair = new Int32Array(2);
  const type = kind === "stream" ? STREAM : PACKETS;
  if (libc()?.socketpair(UNIX, type, 0, pair) !== 0) return undefined;
  return [pair[0]!, pair[1]!];
}

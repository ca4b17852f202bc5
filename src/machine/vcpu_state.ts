/**
 * A vCPU's state as it travels: one byte that says whether the guest has begun, then what it saved.
 *
 * @module
 */
import { IncompatibleError } from "../errors.ts";

const NEW = 0;
const BEGUN = 1;

/**
 * Writes a vCPU's state.
 * @param saved What the guest saved; `undefined` for one that has not begun.
 */
export function encodeVcpuState(saved: Uint8Array | undefined): Uint8Array<ArrayBuffer> {
  if (!saved) return Uint8Array.of(NEW);
  const bytes = new Uint8Array(1 + saved.length);
  bytes[0] = BEGUN;
  bytes.set(saved, 1);
  return bytes;
}

/**
 * Reads a vCPU's state.
 * @returns A copy of what the guest saved, or `undefined` for one that has not begun.
 * @throws {IncompatibleError} If it is no vCPU's state.
 */
export function decodeVcpuState(bytes: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  if (bytes[0] === BEGUN) return Uint8Array.from(bytes.subarray(1));
  if (bytes[0] === NEW && bytes.length === 1) return undefined;
  throw new IncompatibleError(
    bytes.length === 0
      ? "The vCPU's state is empty"
      : `The vCPU's state is ${bytes.length} bytes that begin with ${bytes[0]}`,
  );
}

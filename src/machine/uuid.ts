/**
 * A machine's UUID: 16 bytes, and how people write them.
 *
 * @module
 */
import { UsageError } from "../errors.ts";

const FORM = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;

/**
 * Reads a UUID.
 * @param text Such as `6d2c1b3a-5f4e-4d6c-8b7a-0123456789ab`.
 * @throws {UsageError} If it is none.
 */
export function parseUuid(text: string): Uint8Array<ArrayBuffer> {
  if (!FORM.test(text)) {
    throw new UsageError(`Not a UUID: "${text}"`, {
      advice: "Write it like 6d2c1b3a-5f4e-4d6c-8b7a-0123456789ab.",
    });
  }
  return Uint8Array.fromHex(text.replaceAll("-", ""));
}

/** Writes a UUID as {@linkcode parseUuid} reads it. @param uuid 16 bytes. */
export function formatUuid(uuid: Uint8Array): string {
  return uuid.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Whether two UUIDs are the same. */
export function sameUuid(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}

/**
 * Sizes as a user writes them.
 *
 * @module
 */
import { UsageError } from "../errors.ts";

const UNITS = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 };

/**
 * Reads a size such as `4096`, `512M` or `1.5G` (powers of 1024).
 * @param text What the user wrote.
 * @param what What it is the size of, for the message.
 * @returns In bytes.
 * @throws {UsageError} If it is no size.
 */
export function parseSize(text: string, what: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text);
  const bytes = match && Number(match[1]) * UNITS[match[2]!.toUpperCase() as keyof typeof UNITS];
  if (!match || bytes === null || !Number.isSafeInteger(bytes)) {
    throw new UsageError(`${what} "${text}" is not a size`, {
      advice: "Write bytes, or a number with K, M, G or T, such as 512M",
    });
  }
  return bytes;
}

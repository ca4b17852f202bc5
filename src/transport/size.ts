/**
 * Sizes in bytes as QEMU's command line and URIs write them (QEMU `util/cutils.c`, `qemu_strtosz`).
 *
 * @module
 */
import { UsageError } from "../errors.ts";

const SUFFIXES = "bkmgtpe";

/**
 * Reads a size: decimal with an optional suffix (`B`, `k`, `M`, `G`, `T`, `P`, `E`, powers of 1024)
 * and, where there is a suffix, a fraction; or hexadecimal with `0x` and neither.
 * @param text Such as `512M`, `1.5G` or `0x1000`.
 * @param what The size's name, for the message.
 * @returns Bytes.
 * @throws {UsageError} If it is no such size or is above 2^53 - 1.
 */
export function parseSize(text: string, what: string): number {
  const size = /^0x[0-9a-f]+$/i.test(text) ? Number(text) : decimalSize(text);
  if (size === undefined) {
    throw new UsageError(
      `${what} "${text}" is not a size: write a number with k, M, G, T, P or E, or 0x and hex digits`,
    );
  }
  if (size > Number.MAX_SAFE_INTEGER) throw new UsageError(`${what} "${text}" is too large`);
  return size;
}

function decimalSize(text: string): number | undefined {
  const parts = /^(\d+)(\.\d*)?([bkmgtpe])?$/i.exec(text);
  if (parts === null) return undefined;
  const [, whole, fraction = ".", suffix = "b"] = parts;
  const unit = 1024 ** SUFFIXES.indexOf(suffix.toLowerCase());
  if (unit === 1 && Number(`0${fraction}0`) !== 0) return undefined;
  return Number(whole) * unit + Math.round(Number(`0${fraction}0`) * unit);
}

/**
 * The target page: the unit of the stream and of every bitmap.
 *
 * @module
 */

/** The target page of x86 and of Ferry's own machines, in bytes. */
export const PAGE_SIZE = 4096;

/** The smallest and largest target page that QEMU has, in bytes. */
export const PAGE_SIZE_LIMITS = { min: 1024, max: 65536 } as const;

/** How many pages `bytes` fill, the last one perhaps in part. */
export function pagesOf(bytes: number, pageSize: number = PAGE_SIZE): number {
  return Math.ceil(bytes / pageSize);
}

/**
 * The target page of a stream, in bytes.
 * @param targetPageBits What its configuration section says; it says nothing where there is one size only.
 */
export function targetPageSize(targetPageBits: number | undefined): number {
  return targetPageBits === undefined ? PAGE_SIZE : 2 ** targetPageBits;
}

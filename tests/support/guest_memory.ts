/**
 * Comparing the memory of machines.
 *
 * @module
 */
import type { Qemu } from "./qemu.ts";

/** A range of guest-physical addresses, in bytes. */
export interface MemoryRange {
  readonly start: number;
  readonly size: number;
}

const PAGE = 4096;
/** Where a PC's RAM is interrupted by its screen and its ROMs. */
const HOLE = { start: 0xa0000, end: 0x100000 } as const;
/** How many differing pages a message names. */
const NAMED = 5;

/** The ranges of a PC's physical addresses that are RAM, for at most 3 GiB. */
export async function ramRanges(qemu: Qemu): Promise<MemoryRange[]> {
  const summary = await qemu.execute("query-memory-size-summary") as { "base-memory": number };
  const end = summary["base-memory"];
  return [
    { start: 0, size: Math.min(HOLE.start, end) },
    ...(end > HOLE.end ? [{ start: HOLE.end, size: end - HOLE.end }] : []),
  ];
}

/**
 * Digests of ranges of a machine's memory; stop the machine first.
 * @param qemu Whose memory.
 * @param ranges Which ranges; all of RAM by default.
 * @returns For each range its SHA-256, in hexadecimal.
 */
export async function digestMemory(
  qemu: Qemu,
  ranges?: readonly MemoryRange[],
): Promise<string[]> {
  const digests: string[] = [];
  for (const { start, size } of ranges ?? await ramRanges(qemu)) {
    const bytes = await qemu.readMemory(start, size);
    digests.push(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex());
  }
  return digests;
}

/**
 * Checks that two machines have the same memory; stop both first.
 * @param one A machine.
 * @param other Another.
 * @param ranges Which ranges; all of RAM by default.
 * @throws {Error} When they differ, with the first pages that do.
 */
export async function assertSameMemory(
  one: Qemu,
  other: Qemu,
  ranges?: readonly MemoryRange[],
): Promise<void> {
  for (const { start, size } of ranges ?? await ramRanges(one)) {
    const difference = describeDifference(
      await one.readMemory(start, size),
      await other.readMemory(start, size),
      start,
    );
    if (difference) throw new Error(`${one.name} and ${other.name} differ: ${difference}`);
  }
}

/**
 * Says in which pages two copies of a range differ.
 * @param one A copy.
 * @param other Another.
 * @param start The address of their first byte.
 * @returns The pages in words, or `undefined` when the copies are equal.
 */
export function describeDifference(
  one: Uint8Array,
  other: Uint8Array,
  start: number,
): string | undefined {
  if (one.length !== other.length) return `${one.length} bytes against ${other.length}`;
  const named: string[] = [];
  let count = 0;
  for (let page = 0; page < one.length; page += PAGE) {
    const at = firstDifference(one, other, page, Math.min(page + PAGE, one.length));
    if (at === undefined || ++count > NAMED) continue;
    named.push(`0x${(start + at).toString(16)} (${one[at]} against ${other[at]})`);
  }
  if (count === 0) return undefined;
  return `${count} pages, first at ${named.join(", ")}${count > NAMED ? ", ..." : ""}`;
}

function firstDifference(
  one: Uint8Array,
  other: Uint8Array,
  from: number,
  to: number,
): number | undefined {
  for (let at = from; at < to; at++) {
    if (one[at] !== other[at]) return at;
  }
  return undefined;
}

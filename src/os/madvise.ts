/**
 * Advice to the kernel on ranges of memory. Each function returns 0, or minus an errno where the kernel
 * does not want it (`errno.ts`); all of it is advice, so callers may ignore a refusal.
 *
 * @module
 */
import { failure, libc } from "./libc.ts";

const Advice = {
  dontNeed: 4,
  hugePage: 14,
  noHugePage: 15,
  populateWrite: 23,
} as const;

/** Asks for large pages, which make first touches and scans of the range cheaper. */
export function adviseHugePages(address: number, length: number): number {
  return advise(address, length, Advice.hugePage);
}

/** Asks for small pages only: what a range needs whose pages are provided one by one. */
export function adviseSmallPages(address: number, length: number): number {
  return advise(address, length, Advice.noHugePage);
}

/** Provides all pages of the range now, as if each were written (Linux 5.14). */
export function populate(address: number, length: number): number {
  return advise(address, length, Advice.populateWrite);
}

/**
 * Gives the range's pages back: they read as zeros, or are missing, from now on. No dirty log of the
 * kernel's sees that, so who discards under one marks the pages himself.
 */
export function discard(address: number, length: number): number {
  return advise(address, length, Advice.dontNeed);
}

function advise(address: number, length: number, advice: number): number {
  const result = libc()?.madvise(BigInt(address), BigInt(length), advice) ?? -1;
  return result < 0 ? failure() : result;
}

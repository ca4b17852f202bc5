/**
 * Whether memory is what a sweep guest could have left at one instant.
 *
 * @module
 */
import type { SweepGuest } from "./sweep_guest.ts";
import { FILL_OFFSET } from "./sweep_program.ts";

/** Where a guest was when its memory was copied. */
export interface SweepState {
  /** The count of the pages that the sweep in progress has not reached, modulo 256. */
  readonly count: number;
  /** How many pages the sweep in progress has passed; all of them between two sweeps. */
  readonly passed: number;
}

/** How many bad pages a message names. */
const NAMED = 5;

/**
 * Checks that the pages' counts fall by one at most at one place, and that nothing else has changed.
 * @param guest The guest.
 * @param memory Its range, from its first byte to its last.
 * @returns Where the guest was.
 * @throws {Error} When memory is not of one instant, with the pages that tell it.
 */
export function checkSweep(guest: SweepGuest, memory: Uint8Array): SweepState {
  if (memory.length !== guest.size) {
    throw new Error(`Guest has ${guest.size} bytes, the copy ${memory.length}`);
  }
  const first = memory[0]!;
  let passed = memory.length / guest.stride;
  const wrong: string[] = [];
  for (let at = 0, page = 0; at < memory.length; at += guest.stride, page++) {
    const expected = page < passed ? first : (first + 255) & 0xff;
    const found = memory[at]!;
    if (found === expected) continue;
    // The one fall: from here on the sweep in progress has not been.
    if (page < passed && found === ((first + 255) & 0xff)) passed = page;
    else wrong.push(`0x${(guest.start + at).toString(16)} counts ${found}, not ${expected}`);
  }
  wrong.push(...wrongFills(guest, memory));
  if (wrong.length > 0) {
    const named = wrong.slice(0, NAMED).join(", ");
    const more = wrong.length > NAMED ? `, and ${wrong.length - NAMED} more` : "";
    throw new Error(`Memory is of no single instant: ${named}${more}`);
  }
  return { count: passed * guest.stride === memory.length ? first : (first + 255) & 0xff, passed };
}

function wrongFills(guest: SweepGuest, memory: Uint8Array): string[] {
  const wrong: string[] = [];
  const expected = new Uint8Array(guest.stride);
  for (let page = 0; page < memory.length; page += guest.stride) {
    if (guest.fill > 0) expected.set(guest.fillOf(guest.start + page), FILL_OFFSET);
    for (let i = 1; i < guest.stride; i++) {
      const found = memory[page + i];
      if (found === expected[i]) continue;
      const address = (guest.start + page + i).toString(16);
      wrong.push(`0x${address} is ${found}, not ${expected[i]}`);
      break;
    }
  }
  return wrong;
}

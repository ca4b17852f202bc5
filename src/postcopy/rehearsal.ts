/**
 * What the threads of postcopy have in common while they are in reserve: they handle page requests and pages of
 * their own, so many that the engine has compiled and optimized all of it. A guest stands still for every page:
 * without this, for the first thousand of them it would stand still for the compiler too.
 *
 * Whether a rehearsal is like the real thing is seen with `DENO_V8_FLAGS` of `--trace-opt`, `--trace-deopt` and
 * `--redirect-code-traces`: each thread writes a file of its own, and once guests fault hardly anything should be added to it.
 *
 * @module
 */
import { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";

/** Of the RAM that is rehearsed with: its page, in bytes. */
export const PAGE = 4096;
/** Of the RAM that is rehearsed with: how many pages it has. */
export const PAGES = 64;
/** How often each thing is done in a round. */
export const TIMES = 8000;
/** How many rounds, each with other objects: how they are made counts, and the engine looks at that twice. */
export const ROUNDS = 3;

/** A little RAM that is no machine's. */
export function rehearsalRam(): { readonly ram: GuestRam; readonly block: RamBlock } {
  const ram = GuestRam.create([{ name: "rehearsal", length: PAGES * PAGE }]);
  return { ram, block: ram.blocks[0]! };
}

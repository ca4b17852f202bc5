/**
 * Guests and machines as the command line makes them.
 *
 * @module
 */
import type { Machine } from "../machine/machine.ts";
import { type GuestSpec, parseGuestSpec } from "../machine/guest_spec.ts";
import type { MachineArguments } from "./arguments.ts";

/** How much RAM a machine has if nobody says, in bytes. */
export const DEFAULT_RAM = 256 * 1024 ** 2;
/** What machines of the command line are called; both sides of a migration must agree. */
export const MACHINE_NAME = "ferry";
/** The RAM block of such a machine. */
export const RAM_BLOCK = "ram";

/**
 * Reads guests' SPECs; `--dirty-rate` and `--seed` go to the built-in ones.
 * @throws {UsageError} If one is not understood.
 */
export function guestSpecs(
  guests: readonly string[],
  { dirtyRate, seed }: Pick<MachineArguments, "dirtyRate" | "seed">,
): GuestSpec[] {
  return guests.map((text) => {
    const spec = parseGuestSpec(text);
    if (spec.kind !== "beat" && spec.kind !== "stress") return spec;
    return {
      ...spec,
      ...dirtyRate !== undefined && { rate: dirtyRate / guests.length },
      ...seed !== undefined && spec.kind === "stress" && { seed },
    };
  });
}

/** How long the guest is watched to see that it works, in milliseconds. */
const LOOK_MS = 200;

/** Says whether a machine's guest works: watches it for a moment. */
export async function describeGuest(machine: Machine): Promise<string> {
  if (!machine.running) return `The machine stands still here (${machine.runState})`;
  const { steps, pages } = machine.counters;
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  const { counters } = machine;
  const written = counters.pages - pages;
  const work = written > 0 ? `${written} pages` : `${counters.steps - steps} steps`;
  return `The guest runs on here: ${work} in the last ${LOOK_MS} ms`;
}

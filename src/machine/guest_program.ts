/**
 * Gets a guest's code, whatever kind it is: first loaded, then, when it is known whether the machine
 * starts or goes on, opened.
 *
 * @module
 */
import { GuestError, MigrationError } from "../errors.ts";
import type { Guest, GuestContext, GuestFactory } from "./guest.ts";
import type { GuestChecks } from "./guest_checks.ts";
import type { GuestRam } from "./guest_ram.ts";
import type { GuestSpec } from "./guest_spec.ts";
import { PagedGuest } from "./guests/paged_guest.ts";
import { WasmProgram } from "./wasm_guest.ts";

/** A guest's code. */
export interface GuestProgram {
  /** Whether the guest has timers, messages or I/O that need turns of the event loop. */
  readonly hasEvents: boolean;
  /** Makes the guest. */
  open(ram: GuestRam, checks: GuestChecks, context: GuestContext): Guest | Promise<Guest>;
}

/**
 * Loads a guest's code into this thread. A module's own top level runs; nothing touches RAM.
 * @throws {unknown} Whatever is wrong with the code.
 */
export async function loadGuestProgram(spec: GuestSpec): Promise<GuestProgram> {
  switch (spec.kind) {
    case "beat":
    case "stress":
      return {
        hasEvents: false,
        open: (ram, checks, context) => new PagedGuest(spec, ram, checks, context),
      };
    case "wasm": {
      const program = await WasmProgram.compile(await bytesAt(spec.url));
      return { hasEvents: false, open: (...machine) => program.open(...machine) };
    }
    case "module": {
      const module: { default?: unknown } = await import(spec.url);
      if (typeof module.default !== "function") {
        throw new GuestError("The guest's module has no function as its default export");
      }
      const make = module.default as GuestFactory;
      return {
        hasEvents: true,
        open: async (_ram, _checks, context) => {
          const guest: Partial<Guest> | undefined = await make(context);
          if (typeof guest?.step !== "function") {
            throw new GuestError("The guest's module made a guest without a step function");
          }
          return guest as Guest;
        },
      };
    }
  }
}

async function bytesAt(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const { protocol } = new URL(url);
  if (protocol === "file:") return await Deno.readFile(new URL(url));
  const response = await fetch(url);
  if (!response.ok) {
    await response.body?.cancel();
    throw new GuestError(`The guest's module: HTTP status ${response.status}`);
  }
  return await response.bytes();
}

/**
 * What a guest's code threw, as a {@linkcode GuestError} that names the guest. What Ferry itself threw
 * about the guest keeps its class.
 * @param who Which guest on which vCPU.
 * @param what What it was doing.
 */
export function asGuestError(who: string, what: string, thrown: unknown): MigrationError {
  if (thrown instanceof MigrationError && !(thrown instanceof GuestError)) return thrown;
  const advice = thrown instanceof GuestError ? thrown.advice : undefined;
  const words = thrown instanceof GuestError
    ? thrown.what
    : thrown instanceof Error
    ? `${thrown.name}: ${thrown.message}`
    : String(thrown);
  return new GuestError(`${who} ${what}: ${words}`, {
    cause: thrown,
    ...(advice !== undefined && { advice }),
  });
}

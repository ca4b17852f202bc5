/**
 * Which maker of a dirty log a migration gets: the best that host and guest allow.
 *
 * @module
 */
import { SettingError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { probeHost } from "../os/probe.ts";
import { BarrierLog } from "./barrier_log.ts";
import type { DirtyLogKind } from "./dirty_log.ts";
import { HashLog } from "./hash_log.ts";
import { KernelLog } from "./kernel_log.ts";

/** Those that are better than the last resort, which is "hash" and always works; the best first. */
const BETTER: readonly DirtyLogKind[] = ["kernel", "barrier"];

/** What the choice depends on besides the host. */
export interface DirtyLogOptions {
  /** Whether the guest marks what it writes (`barrier_log.ts`). */
  readonly barrierCapable: boolean;
  /** The maker the user insists on. @default {the best there is} */
  readonly wanted?: DirtyLogKind | undefined;
}

/** What was chosen. */
export interface DirtyLogChoice {
  /** Not started yet. With `kind` "hash" it has a table that senders must fill. */
  readonly log: KernelLog | BarrierLog | HashLog;
  /** The choice in words: `hash (kernel: no --allow-ffi; barrier: the guest does not mark ...)`. */
  readonly description: string;
}

/**
 * Chooses the dirty log.
 * @throws {SettingError} If the wanted maker does not work here.
 */
export function chooseDirtyLog(ram: GuestRam, options: DirtyLogOptions): DirtyLogChoice {
  const { wanted } = options;
  if (wanted !== undefined) {
    const lack = lackOf(wanted, options);
    if (lack === undefined) return { log: make(wanted, ram), description: wanted };
    throw new SettingError(`There is no dirty log "${wanted}" here: ${lack}`, {
      advice: "Leave the choice to Ferry, or lift the restriction",
    });
  }
  const lacks: string[] = [];
  for (const kind of BETTER) {
    const lack = lackOf(kind, options);
    if (lack === undefined) return { log: make(kind, ram), description: describe(kind, lacks) };
    lacks.push(`${kind}: ${lack}`);
  }
  return { log: make("hash", ram), description: describe("hash", lacks) };
}

function describe(kind: DirtyLogKind, lacks: readonly string[]): string {
  return lacks.length === 0 ? kind : `${kind} (${lacks.join("; ")})`;
}

/** Why a maker does not work here; `undefined` if it does. */
function lackOf(kind: DirtyLogKind, { barrierCapable }: DirtyLogOptions): string | undefined {
  switch (kind) {
    case "kernel":
      return probeHost().writeTracking;
    case "barrier":
      return barrierCapable ? undefined : "the guest does not mark what it writes";
    case "hash":
      return undefined;
  }
}

function make(kind: DirtyLogKind, ram: GuestRam): KernelLog | BarrierLog | HashLog {
  switch (kind) {
    case "kernel":
      return new KernelLog(ram);
    case "barrier":
      return new BarrierLog(ram);
    case "hash":
      return new HashLog(ram);
  }
}

/**
 * QEMU's migration capabilities: the same names, the same conflicts (wire-format §11.1; QEMU
 * `migration/options.c`, `migrate_caps_check`). What cannot have its effect here is refused with a reason.
 *
 * @module
 */
import { SettingError } from "../errors.ts";

/** All names, in the order in which QMP lists them. */
export const CAPABILITY_NAMES = [
  "xbzrle",
  "rdma-pin-all",
  "auto-converge",
  "zero-blocks",
  "events",
  "postcopy-ram",
  "x-colo",
  "release-ram",
  "return-path",
  "pause-before-switchover",
  "multifd",
  "dirty-bitmaps",
  "postcopy-blocktime",
  "late-block-activate",
  "x-ignore-shared",
  "validate-uuid",
  "background-snapshot",
  "zero-copy-send",
  "postcopy-preempt",
  "switchover-ack",
  "dirty-limit",
  "mapped-ram",
] as const;
/** A capability's name, spelled as QMP spells it. */
export type CapabilityName = typeof CAPABILITY_NAMES[number];
/** Every capability, on or off. */
export type Capabilities = Readonly<Record<CapabilityName, boolean>>;

/** On from the start. QEMU has `return-path` off; without it nobody tells the source how it ended. */
const ON_BY_DEFAULT: ReadonlySet<CapabilityName> = new Set(["return-path"]);

/** What has no effect here, and why. */
const REFUSED: Partial<Record<CapabilityName, string>> = {
  "rdma-pin-all": "there is no RDMA transport in a Deno runtime",
  "x-colo": "it needs disk replication, which these machines do not have",
  "zero-copy-send": "on Linux it needs MSG_ZEROCOPY, which a Deno socket does not offer",
};

/** Pairs that exclude each other, with QEMU's reason. */
const CONFLICTS: readonly (readonly [CapabilityName, CapabilityName, string])[] = [
  ["dirty-limit", "auto-converge", "dirty-limit conflicts with auto-converge: use one of them"],
  ["multifd", "xbzrle", "Multifd is not compatible with xbzrle"],
  ["x-ignore-shared", "postcopy-ram", "Postcopy is not compatible with ignore-shared"],
  ["mapped-ram", "xbzrle", "Mapped-ram migration is incompatible with xbzrle"],
  ["mapped-ram", "postcopy-ram", "Mapped-ram migration is incompatible with postcopy"],
];

/** What one needs another for. */
const REQUIREMENTS: readonly (readonly [CapabilityName, CapabilityName, string])[] = [
  ["postcopy-preempt", "postcopy-ram", "Postcopy preempt requires postcopy-ram"],
  [
    "switchover-ack",
    "return-path",
    "Capability 'switchover-ack' requires capability 'return-path'",
  ],
];

/** What nothing of the machine can be changed under. */
const BACKGROUND_SNAPSHOT_EXCLUDES: readonly CapabilityName[] = [
  "postcopy-ram",
  "dirty-bitmaps",
  "postcopy-blocktime",
  "late-block-activate",
  "return-path",
  "multifd",
  "pause-before-switchover",
  "auto-converge",
  "release-ram",
  "rdma-pin-all",
  "xbzrle",
  "x-colo",
  "validate-uuid",
  "zero-copy-send",
];

/** The capabilities before anybody has set one. */
export function defaultCapabilities(): Capabilities {
  return Object.fromEntries(
    CAPABILITY_NAMES.map((name) => [name, ON_BY_DEFAULT.has(name)]),
  ) as Record<CapabilityName, boolean>;
}

/** Whether there is a capability of that name. */
export function isCapabilityName(name: string): name is CapabilityName {
  return (CAPABILITY_NAMES as readonly string[]).includes(name);
}

/**
 * Changes some capabilities: all of them or, if the result is not allowed, none.
 * @param current The capabilities now.
 * @param changes Those to change.
 * @returns The capabilities after the change.
 * @throws {SettingError} If a name is unknown or the result is refused; the message has QEMU's meaning.
 */
export function changeCapabilities(
  current: Capabilities,
  changes: Readonly<Partial<Record<string, boolean>>>,
): Capabilities {
  const next: Record<CapabilityName, boolean> = { ...current };
  for (const [name, on] of Object.entries(changes)) {
    if (!isCapabilityName(name)) {
      throw new SettingError(`Unknown capability '${name}'`, {
        advice: `Capabilities are: ${CAPABILITY_NAMES.join(", ")}`,
      });
    }
    const refusal = on ? REFUSED[name] : undefined;
    if (refusal) throw new SettingError(`Capability '${name}' is not available: ${refusal}`);
    next[name] = on ?? next[name];
  }
  checkCapabilities(next);
  return next;
}

/** @throws {SettingError} If two of them exclude each other or one lacks what it needs. */
function checkCapabilities(set: Capabilities): void {
  for (const [one, other, why] of CONFLICTS) {
    if (set[one] && set[other]) throw new SettingError(why);
  }
  for (const [one, needed, why] of REQUIREMENTS) {
    if (set[one] && !set[needed]) throw new SettingError(why);
  }
  if (set["background-snapshot"]) {
    const excluded = BACKGROUND_SNAPSHOT_EXCLUDES.find((name) => set[name]);
    if (excluded) {
      throw new SettingError(`Background-snapshot is not compatible with ${excluded}`);
    }
  }
}

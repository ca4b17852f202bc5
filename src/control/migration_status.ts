/**
 * The two state machines, as pure tables (wire-format §10.1 and §10.2; QEMU `migration/migration.c`,
 * `migrate_set_state` and its callers). Statuses are spelled as QMP spells them.
 *
 * @module
 */

/** What `query-migrate` and the MIGRATION event call the states. */
export const MIGRATION_STATUSES = [
  "none",
  "setup",
  "wait-unplug",
  "active",
  "pre-switchover",
  "device",
  "postcopy-active",
  "postcopy-device",
  "postcopy-paused",
  "postcopy-recover-setup",
  "postcopy-recover",
  "completed",
  "failed",
  "cancelling",
  "cancelled",
] as const;
/** One of {@linkcode MIGRATION_STATUSES}. */
export type MigrationStatus = typeof MIGRATION_STATUSES[number];

/** What can happen to an outgoing migration. */
export type OutgoingEvent =
  | "start"
  | "take-up"
  | "unplug-pending"
  | "setup-done"
  | "pause-before-switchover"
  | "switchover"
  | "package-sent"
  | "destination-runs"
  | "channel-lost"
  | "resume"
  | "resume-connected"
  | "resume-acknowledged"
  | "resume-failed"
  | "done"
  | "error"
  | "cancel"
  | "cleaned-up";

/** What can happen to an incoming migration. */
export type IncomingEvent =
  | "listen"
  | "channels-complete"
  | "listen-postcopy"
  | "run"
  | "channel-lost"
  | "resume-connected"
  | "resume-acknowledged"
  | "resume-failed"
  | "done"
  | "error";

/** By status and event, the next status. */
export type StatusTable<Event extends string> = Partial<
  Record<MigrationStatus, Partial<Record<Event, MigrationStatus>>>
>;

const RESTART = { start: "setup" } as const;
/** Another program has begun it, and is not there any more: to the destination it is paused. */
const TAKE_UP = { "take-up": "postcopy-paused" } as const;

/** Outgoing: by status and event, the next status; what is missing is not allowed. */
export const OUTGOING: StatusTable<OutgoingEvent> = {
  none: { ...RESTART, ...TAKE_UP },
  setup: {
    "unplug-pending": "wait-unplug",
    "setup-done": "active",
    error: "failed",
    cancel: "cancelling",
  },
  "wait-unplug": { "setup-done": "active", error: "failed", cancel: "cancelling" },
  active: {
    "pause-before-switchover": "pre-switchover",
    switchover: "device",
    error: "failed",
    cancel: "cancelling",
  },
  "pre-switchover": { switchover: "device", error: "failed", cancel: "cancelling" },
  // After `package-sent` the destination has what it needs to run; whether it does is known with
  // `destination-runs`. Until then an error gives the machine back to this side.
  device: {
    "package-sent": "postcopy-device",
    done: "completed",
    error: "failed",
    cancel: "cancelling",
  },
  "postcopy-device": { "destination-runs": "postcopy-active", error: "failed" },
  "postcopy-active": { "channel-lost": "postcopy-paused", done: "completed", error: "failed" },
  "postcopy-paused": { resume: "postcopy-recover-setup" },
  "postcopy-recover-setup": {
    "resume-connected": "postcopy-recover",
    "resume-failed": "postcopy-paused",
  },
  "postcopy-recover": {
    "resume-acknowledged": "postcopy-active",
    "resume-failed": "postcopy-paused",
    "channel-lost": "postcopy-paused",
  },
  cancelling: { "cleaned-up": "cancelled" },
  completed: RESTART,
  failed: RESTART,
  cancelled: RESTART,
};

/** Incoming: by status and event, the next status; what is missing is not allowed. */
export const INCOMING: StatusTable<IncomingEvent> = {
  none: { listen: "setup" },
  setup: { "channels-complete": "active", error: "failed" },
  active: { "listen-postcopy": "postcopy-device", done: "completed", error: "failed" },
  "postcopy-device": { run: "postcopy-active", error: "failed" },
  "postcopy-active": { "channel-lost": "postcopy-paused", done: "completed", error: "failed" },
  "postcopy-paused": { "resume-connected": "postcopy-recover" },
  "postcopy-recover": {
    "resume-acknowledged": "postcopy-active",
    "resume-failed": "postcopy-paused",
    "channel-lost": "postcopy-paused",
  },
};

/**
 * The next status, or `undefined` if the event is not allowed in this one.
 * @param table {@linkcode OUTGOING} or {@linkcode INCOMING}.
 */
export function nextStatus<Event extends string>(
  table: StatusTable<Event>,
  status: MigrationStatus,
  event: Event,
): MigrationStatus | undefined {
  return table[status]?.[event];
}

/** Whether a migration in this status keeps others from starting. */
export function isRunning(status: MigrationStatus): boolean {
  return !["none", "completed", "failed", "cancelled"].includes(status);
}

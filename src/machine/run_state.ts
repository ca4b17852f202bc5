/**
 * What a machine as a whole is doing, in QEMU's words, and what may follow what.
 *
 * @module
 */

/** All run states, as `query-status` spells them. */
export const RUN_STATES = [
  "prelaunch",
  "inmigrate",
  "running",
  "paused",
  "finish-migrate",
  "postmigrate",
  "save-vm",
  "restore-vm",
  "shutdown",
  "internal-error",
] as const;
/** One of {@linkcode RUN_STATES}. */
export type RunState = typeof RUN_STATES[number];

const MAY_FOLLOW: Readonly<Record<RunState, readonly RunState[]>> = {
  /** Made, never started. */
  prelaunch: ["running", "inmigrate", "finish-migrate"],
  /** Made to receive a machine that has not arrived. */
  inmigrate: [
    "running",
    "paused",
    "prelaunch",
    "finish-migrate",
    "postmigrate",
    "shutdown",
    "internal-error",
  ],
  running: ["paused", "finish-migrate", "save-vm", "restore-vm", "shutdown", "internal-error"],
  /** Stopped by its user. */
  paused: ["running", "prelaunch", "finish-migrate", "postmigrate"],
  /** Stopped so that the rest of it can be sent. */
  "finish-migrate": [
    "running",
    "paused",
    "prelaunch",
    "postmigrate",
    "shutdown",
    "internal-error",
  ],
  /** Sent away: it runs elsewhere, and may come back. */
  postmigrate: ["running", "prelaunch", "finish-migrate", "inmigrate"],
  /** Stopped while an image is written. */
  "save-vm": ["running"],
  /** Stopped while an image is loaded. */
  "restore-vm": ["running", "prelaunch"],
  /** Its guest has ended. */
  shutdown: ["paused", "prelaunch", "finish-migrate"],
  /** Its guest has failed. */
  "internal-error": ["paused", "prelaunch", "finish-migrate"],
};

/** Whether a machine can go from one run state to another; staying is no change and always allowed. */
export function mayFollow(from: RunState, to: RunState): boolean {
  return from === to || MAY_FOLLOW[from].includes(to);
}

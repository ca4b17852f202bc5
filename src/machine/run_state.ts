/**
 * What a machine as a whole is doing, in QEMU's words, and what may follow what.
 *
 * @module
 */

const MAY_FOLLOW = {
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
  /** Sent away: it runs elsewhere. */
  postmigrate: ["running", "prelaunch", "finish-migrate"],
  /** Stopped while an image is written. */
  "save-vm": ["running"],
  /** Stopped while an image is loaded. */
  "restore-vm": ["running", "prelaunch"],
  /** Its guest has ended. */
  shutdown: ["paused", "prelaunch", "finish-migrate"],
  /** Its guest has failed. */
  "internal-error": ["paused", "prelaunch", "finish-migrate"],
} as const;

/** A machine's run state, as `query-status` spells it. */
export type RunState = keyof typeof MAY_FOLLOW;

/** All run states. */
export const RUN_STATES = Object.keys(MAY_FOLLOW) as RunState[];

/** Whether a machine can go from one run state to another; staying is no change and always allowed. */
export function mayFollow(from: RunState, to: RunState): boolean {
  const next: readonly RunState[] = MAY_FOLLOW[from];
  return from === to || next.includes(to);
}

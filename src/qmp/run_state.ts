/**
 * What the target is doing, also where there is no machine, or none yet.
 *
 * @module
 */
import type { RunState } from "../machine/run_state.ts";
import type { QmpTarget } from "./target.ts";

/** The run state that `query-status` shows. */
export function runStateOf({ machine, control }: QmpTarget): RunState {
  const waits = control.canReceive && !control.canSend && control.incoming?.status !== "completed";
  if (machine) return machine.runState === "prelaunch" && waits ? "inmigrate" : machine.runState;
  if (waits) return "inmigrate";
  // An image stands still.
  return control.outgoing?.status === "completed" ? "postmigrate" : "paused";
}

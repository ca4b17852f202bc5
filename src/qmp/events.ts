/**
 * What the server tells its clients on its own (wire-format §11.5; QEMU `qapi/migration.json`,
 * `qapi/run-state.json`).
 *
 * @module
 */
import type { Machine, RunStateChange } from "../machine/machine.ts";
import { MIGRATION_STATUSES } from "../control/migration_status.ts";
import { boolean, choice, integer, type Members, string } from "./argument_types.ts";
import type { QmpTarget } from "./target.ts";

/** All events there are, and their data. */
export const QMP_EVENTS = {
  MIGRATION: { status: choice(MIGRATION_STATUSES) },
  MIGRATION_PASS: { pass: integer },
  RESUME: {},
  SHUTDOWN: { guest: boolean, reason: choice(["host-qmp-quit", "guest-shutdown"]) },
  STOP: {},
  UNPLUG_PRIMARY: { "device-id": string },
} satisfies Readonly<Record<string, Members>>;

/** An event as QMP writes it. */
export interface QmpEvent {
  readonly event: keyof typeof QMP_EVENTS;
  readonly data?: Readonly<Record<string, unknown>>;
  /** When it happened. */
  readonly timestamp: { readonly seconds: number; readonly microseconds: number };
}

/** Makes an event that happens now. */
export function qmpEvent(event: QmpEvent["event"], data?: QmpEvent["data"]): QmpEvent {
  const now = performance.timeOrigin + performance.now();
  const seconds = Math.floor(now / 1000);
  const microseconds = Math.floor((now - seconds * 1000) * 1000);
  return { timestamp: { seconds, microseconds }, event, ...data && { data } };
}

/**
 * Listens for what clients are to be told.
 * @param emit Gets each event.
 * @returns Ends it.
 */
export function followEvents(target: QmpTarget, emit: (event: QmpEvent) => void): () => void {
  const { control } = target;
  let followed: Machine | undefined;
  let unfollow: (() => void) | undefined;
  const onRunState = ({ from, to }: RunStateChange) => {
    if (to === "shutdown") emit(qmpEvent("SHUTDOWN", { guest: true, reason: "guest-shutdown" }));
    if (to === "running") emit(qmpEvent("RESUME"));
    else if (from === "running") emit(qmpEvent("STOP"));
  };
  /** A migration may bring a machine, and another one in place of one that did not arrive. */
  const followMachine = () => {
    const { machine } = target;
    if (machine === followed) return;
    unfollow?.();
    unfollow = machine?.onRunState(onRunState);
    followed = machine;
  };
  const unfollowControl = control.onEvent((one) => {
    const { machine } = target;
    if ("data" in one) {
      if (control.capabilities.events || one.event === "UNPLUG_PRIMARY") {
        emit(qmpEvent(one.event, one.data));
      }
    } else if (!machine || machine !== followed) { // one that is followed says this itself
      emit(qmpEvent(one.event));
    }
    followMachine();
  });
  followMachine();
  return () => {
    unfollowControl();
    unfollow?.();
  };
}

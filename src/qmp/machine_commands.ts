/**
 * The commands about the machine and the program around it (QEMU `qapi/run-state.json`, `qapi/misc.json`,
 * `qapi/machine.json`, `qapi/net.json`).
 *
 * @module
 */
import { isRunning } from "../control/migration_status.ts";
import type { Machine } from "../machine/machine.ts";
import { formatUuid } from "../machine/uuid.ts";
import { list, optional, string, unsigned } from "./argument_types.ts";
import { type Command, command } from "./command.ts";
import { QmpError } from "./qmp_error.ts";
import { runStateOf } from "./run_state.ts";
import type { QmpTarget } from "./target.ts";

/** What a machine without one shows. */
const NO_UUID = new Uint8Array(16);

/** The commands. @param shutdown Tells clients, and ends the program. */
export function machineCommands(
  target: QmpTarget,
  shutdown: () => void,
): Record<string, Command> {
  return {
    "query-status": command({}, () => {
      const status = runStateOf(target);
      return { status, running: status === "running" };
    }),
    "stop": command({}, async () => {
      const { machine } = target;
      if (runStateOf(target) === "inmigrate") startWhenItIsHere(target, false);
      else if (machine?.running) await machine.stop("paused");
      return {};
    }),
    "cont": command({}, async () => {
      if (runStateOf(target) === "inmigrate") startWhenItIsHere(target, true);
      else await requireStartable(target).start();
      return {};
    }),
    "quit": command({}, () => {
      shutdown();
      return {};
    }),
    "query-name": command({}, () => target.machine ? { name: target.machine.name } : {}),
    "query-uuid": command({}, () => ({ UUID: formatUuid(target.machine?.uuid ?? NO_UUID) })),
    "query-cpus-fast": command({}, () =>
      (target.machine?.vcpus ?? []).map((_, index) => ({
        "cpu-index": index,
        "qom-path": `/machine/vcpu[${index}]`,
        // Only the kernel knows a thread's own number, and only with FFI it can be asked.
        "thread-id": target.machine?.presence.threadOf(index) || Deno.pid,
        target: "wasm32",
      }))),
    // These machines have no network devices that anybody would have to hear of.
    "announce-self": command(
      {
        initial: unsigned,
        max: unsigned,
        rounds: unsigned,
        step: unsigned,
        interfaces: optional(list(string)),
        id: optional(string),
      },
      () => ({}),
    ),
  };
}

/** Of what is still to arrive it can only be said whether it is to run then; an image never does. */
function startWhenItIsHere({ arrival, machine }: QmpTarget, startsRunning: boolean): void {
  if (arrival) arrival.startsRunning = startsRunning;
  else if (machine && !startsRunning) {
    throw new QmpError("The machine has not arrived: stop it where it is, or when it is here");
  }
}

function requireStartable({ machine, control }: QmpTarget): Machine {
  if (!machine) throw new QmpError("There is no machine here that could run: it is an image");
  const leaving = control.outgoing !== undefined && isRunning(control.outgoing.status);
  if (machine.runState === "finish-migrate" && leaving) {
    throw new QmpError("Migration is not finalized yet");
  }
  return machine;
}

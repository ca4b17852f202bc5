/**
 * The commands about the machine and the program around it (QEMU `qapi/run-state.json`, `qapi/misc.json`,
 * `qapi/machine.json`, `qapi/net.json`).
 *
 * @module
 */
import { isRunning } from "../control/migration_status.ts";
import type { RunState } from "../machine/run_state.ts";
import { list, optional, string, unsigned } from "./argument_types.ts";
import { type Command, command } from "./command.ts";
import { QmpError } from "./qmp_error.ts";
import type { QmpTarget } from "./target.ts";

/** The commands. @param shutdown Tells clients, and ends the program. */
export function machineCommands(
  target: QmpTarget,
  shutdown: () => void,
): Record<string, Command> {
  const { machine } = target;
  return {
    "query-status": command({}, () => {
      const status = runStateOf(target);
      return { status, running: status === "running" };
    }),
    "stop": command({}, async () => {
      if (machine?.running) await machine.stop("paused");
      return {};
    }),
    "cont": command({}, async () => {
      await requireStartable(target).start();
      return {};
    }),
    "quit": command({}, () => {
      shutdown();
      return {};
    }),
    "query-name": command({}, () => machine ? { name: machine.name } : {}),
    "query-uuid": command({}, () => ({ UUID: "00000000-0000-0000-0000-000000000000" })),
    "query-cpus-fast": command({}, () =>
      (machine?.vcpus ?? []).map((_, index) => ({
        "cpu-index": index,
        "qom-path": `/machine/vcpu[${index}]`,
        "thread-id": Deno.pid, // a thread's own number is not known to a program in Deno
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

/** What the machine is doing; an image is always standing still. */
function runStateOf({ machine, control }: QmpTarget): RunState {
  if (machine) return machine.runState;
  if (control.outgoing?.status === "completed") return "postmigrate";
  if (control.incoming && control.incoming.status !== "completed") return "inmigrate";
  return "paused";
}

function requireStartable({ machine, control }: QmpTarget) {
  if (!machine) throw new QmpError("There is no machine here that could run: it is an image");
  if (machine.runState === "inmigrate") {
    throw new QmpError("The machine has not arrived: it runs when it has, as it did there");
  }
  const leaving = control.outgoing !== undefined && isRunning(control.outgoing.status);
  if (machine.runState === "finish-migrate" && leaving) {
    throw new QmpError("Migration is not finalized yet");
  }
  return machine;
}

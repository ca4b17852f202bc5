/**
 * The commands that begin, steer and end migrations, and those that show them (wire-format §11.3; QEMU
 * `qapi/migration.json`).
 *
 * @module
 */
import { mayFollow } from "../machine/run_state.ts";
import { CancelledError, StateError } from "../errors.ts";
import type { MigrationControl } from "../control/migration_control.ts";
import { isRunning, MIGRATION_STATUSES } from "../control/migration_status.ts";
import { type MigrationUri, parseUri } from "../transport/uri.ts";
import { parseChannels } from "../transport/uri_channels.ts";
import { CHANNELS } from "./answers.ts";
import { any, boolean, choice, list, optional, string } from "./argument_types.ts";
import { type Command, command } from "./command.ts";
import type { JsonValue } from "./json.ts";
import { QmpError } from "./qmp_error.ts";
import { runStateOf } from "./run_state.ts";
import type { QmpTarget } from "./target.ts";

const OPENED_AT_ONCE: readonly MigrationUri["kind"][] = ["file", "fd"];
/** Looked at by `parseChannels()`, which knows what belongs together. */
const channelList = { ...list(any), shape: CHANNELS.shape };
const DESTINATION = { uri: optional(string), channels: optional(channelList) };

/** The commands. */
export function migrationCommands(target: QmpTarget): Record<string, Command> {
  const { control } = target;
  return {
    "migrate": command(
      { ...DESTINATION, detach: optional(boolean), resume: optional(boolean) },
      async ({ uri, channels, resume = false }) => {
        const to = addressOf(uri, channels);
        if (!resume) refuseWhereItIsNot(target);
        await control.cleanedUp();
        const outgoing = await control.migrate(to, { resume });
        // As in QEMU, what is here is opened before the answer, what is elsewhere is connected after it.
        if (OPENED_AT_ONCE.includes(to.kind)) await outgoing.opened;
        return {};
      },
    ),
    "migrate-incoming": command(
      { ...DESTINATION, "exit-on-error": optional(boolean) },
      async ({ uri, channels, "exit-on-error": exit = true }) => {
        const from = addressOf(uri, channels);
        refuseWhereOneIs(target);
        await control.cleanedUp();
        const incoming = control.migrateIncoming(from);
        await incoming.listening;
        if (exit) {
          incoming.completed.catch((error) => {
            if (!(error instanceof CancelledError)) target.quit(1); // who cancelled knows what to do
          });
        }
        return {};
      },
    ),
    "migrate_cancel": command({}, () => {
      // As in QEMU, the side that waits is not asked.
      if (control.outgoing && isRunning(control.outgoing.status)) control.cancel();
      return {};
    }),
    "migrate-continue": command({ state: choice(MIGRATION_STATUSES) }, ({ state }) => {
      if (control.status !== state) {
        throw new QmpError(`Migration not in expected state: ${control.status}`);
      }
      control.continue();
      return {};
    }),
    "query-migrate": command({}, () => control.info()),
    "query-migrationthreads": command({}, () => migrationThreads(control)),
  };
}

/** Exactly one of the two ways to say where; a list of no channels is none. */
function addressOf(
  uri: string | undefined,
  channels: readonly JsonValue[] = [],
): MigrationUri {
  if ((uri === undefined) === (channels.length === 0)) {
    throw new QmpError("need either 'uri' or 'channels' argument");
  }
  return uri === undefined ? parseChannels(channels) : parseUri(uri);
}

/** A machine that has not arrived, or has left, is not here to be moved. */
function refuseWhereItIsNot(target: QmpTarget): void {
  if (runStateOf(target) === "inmigrate") {
    throw new StateError("Guest is waiting for an incoming migration");
  }
  if (target.machine?.runState === "postmigrate") {
    throw new StateError("Can't migrate the vm that was paused due to previous migration");
  }
}

/** A machine arrives once, and not over one that is here. */
function refuseWhereOneIs({ control, machine }: QmpTarget): void {
  const free = machine
    ? mayFollow(machine.runState, "inmigrate")
    : control.incoming?.status !== "completed";
  if (!free) {
    throw new StateError("There is a machine here already");
  }
}

/** Threads have no number that a program in Deno could know: all have the process's. */
function migrationThreads(control: MigrationControl): { name: string; "thread-id": number }[] {
  const { outgoing } = control;
  if (!outgoing || !isRunning(outgoing.status)) return [];
  const channels = outgoing.info()["multifd-channels"] ?? [];
  const names = ["main", ...channels.map((_, index) => `send_${index}`)];
  return names.map((name) => ({ name: `mig/src/${name}`, "thread-id": Deno.pid }));
}

/**
 * The commands that break a connection which hangs (wire-format §10.11; QEMU `qapi/yank.json`).
 *
 * @module
 */
import type { MigrationControl } from "../control/migration_control.ts";
import { isRunning } from "../control/migration_status.ts";
import { choice, list, object, optional, string } from "./argument_types.ts";
import { type Command, command, outOfBand } from "./command.ts";
import { QmpError } from "./qmp_error.ts";

/** What QEMU can yank; here, only migrations have connections. */
const INSTANCE = object({
  type: choice(["block-node", "chardev", "migration"]),
  "node-name": optional(string),
  id: optional(string),
});

/** The commands. */
export function yankCommands(control: MigrationControl): Record<string, Command> {
  return {
    "query-yank": outOfBand(
      command({}, () => isMigrating(control) ? [{ type: "migration" }] : []),
    ),
    "yank": outOfBand(command({ instances: list(INSTANCE) }, ({ instances }) => {
      const unknown = instances.some(({ type }) => type !== "migration" || !isMigrating(control));
      if (unknown) throw new QmpError("Instance not found", "DeviceNotFound");
      if (instances.length > 0) control.yank();
      return {};
    })),
  };
}

function isMigrating({ outgoing, incoming }: MigrationControl): boolean {
  return [outgoing, incoming].some((each) => each !== undefined && isRunning(each.status));
}

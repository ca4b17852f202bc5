/**
 * The table of all commands.
 *
 * @module
 */
import { answerTypes } from "./answers.ts";
import { type Command, command, type CommandTable } from "./command.ts";
import { dirtyLimitCommands, dirtyRateCommands } from "./dirty_commands.ts";
import { machineCommands } from "./machine_commands.ts";
import { migrationCommands } from "./migration_commands.ts";
import { postcopyCommands } from "./postcopy_commands.ts";
import { describeSchema } from "./schema.ts";
import { PARAMETER_ANSWERS, settingsCommands } from "./settings_commands.ts";
import { yankCommands } from "./yank_commands.ts";
import type { QmpTarget } from "./target.ts";
import { QMP_VERSION } from "./version.ts";

/** What they answer. */
export const ANSWERS = answerTypes(PARAMETER_ANSWERS);

/**
 * All commands but the negotiation, which is the session's own.
 * @param shutdown Tells clients, and ends the program.
 */
export function qmpCommands(target: QmpTarget, shutdown: () => void): CommandTable {
  const table: Map<string, Command> = new Map(Object.entries({
    ...migrationCommands(target),
    ...postcopyCommands(target.control),
    ...settingsCommands(target.control),
    ...machineCommands(target, shutdown),
    ...yankCommands(target.control),
    ...cleanedUp(target, {
      ...target.dirtyRate && dirtyRateCommands(target.dirtyRate),
      ...target.dirtyLimit && dirtyLimitCommands(target.dirtyLimit),
    }),
    "query-qmp-schema": command({}, () => describeSchema(table, ANSWERS)),
    "query-version": command({}, () => QMP_VERSION),
    "query-commands": command(
      {},
      () => ["qmp_capabilities", ...table.keys()].map((name) => ({ name })),
    ),
  }));
  return table;
}

/** The same commands, run when nothing is left of a migration whose end a client has heard of. */
function cleanedUp(
  { control }: QmpTarget,
  commands: Record<string, Command>,
): Record<string, Command> {
  return Object.fromEntries(
    Object.entries(commands).map(([name, one]) => [name, {
      ...one,
      run: async (given) => {
        await control.cleanedUp();
        return await one.run(given);
      },
    }]),
  );
}

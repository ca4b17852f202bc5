/**
 * The commands of postcopy: begin it, pause it, go on (wire-format §11.3; QEMU `qapi/migration.json`).
 *
 * @module
 */
import { StateError } from "../errors.ts";
import type { MigrationControl } from "../control/migration_control.ts";
import { string } from "./argument_types.ts";
import { type Command, command, outOfBand } from "./command.ts";

/** The commands. Pausing and recovering may be asked while another command hangs. */
export function postcopyCommands(control: MigrationControl): Record<string, Command> {
  return {
    "migrate-start-postcopy": command({}, () => {
      if (!control.capabilities["postcopy-ram"] && !control.capabilities["dirty-bitmaps"]) {
        throw new StateError(
          "Enable postcopy with migrate-set-capabilities before the start of migration",
        );
      }
      control.startPostcopy();
      return {};
    }),
    "migrate-pause": outOfBand(command({}, () => {
      control.pause();
      return {};
    })),
    "migrate-recover": outOfBand(command({ uri: string }, async ({ uri }) => {
      await control.recover(uri);
      return {};
    })),
  };
}

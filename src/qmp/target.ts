/**
 * What a QMP server drives.
 *
 * @module
 */
import type { MigrationControl } from "../control/migration_control.ts";
import type { Machine } from "../machine/machine.ts";

/** A machine or an image, its migrations, and the program around them. */
export interface QmpTarget {
  /** Its settings and migrations. */
  readonly control: MigrationControl;
  /** The machine, where there is one and not an image of one. */
  readonly machine?: Machine;
  /**
   * Ends the program: `quit`, or an incoming migration that failed with `exit-on-error`.
   * @param status The exit status, 0 or 1.
   */
  quit(status: number): void;
}

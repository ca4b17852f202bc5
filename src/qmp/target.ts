/**
 * What a QMP server drives.
 *
 * @module
 */
import type { DirtyRateOptions, DirtyRateResult } from "../control/dirty_rate.ts";
import type { Arrival } from "../control/machine_target.ts";
import type { MigrationControl } from "../control/migration_control.ts";
import type { Machine } from "../machine/machine.ts";

/** Measures how fast a machine's RAM is written (`calc-dirty-rate`). */
export interface DirtyRateMeter {
  /**
   * Begins to measure.
   * @throws {StateError | SettingError} If it cannot now, or not in that way.
   */
  calculate(options: DirtyRateOptions): void;
  /** What is known, or what would be measured if nothing was yet. */
  query(): DirtyRateResult;
}

/** A vCPU that may not write as fast as it likes. */
export interface VcpuDirtyLimit {
  /** Which one. */
  readonly vcpu: number;
  /** MiB a second. */
  readonly limit: number;
  /** What it writes now, in MiB a second. */
  readonly current: number;
}

/** Limits how fast each vCPU writes RAM (`set-vcpu-dirty-limit`). */
export interface DirtyLimiter {
  /**
   * Sets a limit.
   * @param rate MiB a second.
   * @param vcpu Which one; all of them if missing.
   * @throws {StateError | SettingError} If it cannot be.
   */
  set(rate: number, vcpu?: number): void;
  /** Takes the limit away. @param vcpu Which one; all of them if missing. */
  cancel(vcpu?: number): void;
  /** Those that have one. */
  query(): readonly VcpuDirtyLimit[];
}

/** A machine or an image, its migrations, and the program around them. */
export interface QmpTarget {
  /** Its settings and migrations. */
  readonly control: MigrationControl;
  /** The machine, as soon as there is one and not an image of one. It may come with a migration. */
  readonly machine?: Machine | undefined;
  /** What becomes of a machine that arrives, if it can be said. */
  readonly arrival?: Arrival | undefined;
  /** Without it there are no commands for it. */
  readonly dirtyRate?: DirtyRateMeter;
  /** Without it there are no commands for it. */
  readonly dirtyLimit?: DirtyLimiter;
  /**
   * Ends the program: `quit`, or an incoming migration that failed with `exit-on-error`. It is to
   * dispose of the server, which then says to clients what they were promised.
   * @param status The exit status, 0 or 1.
   */
  quit(status: number): void;
}

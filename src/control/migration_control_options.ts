/**
 * What the control of a machine's migrations is told, and each of them.
 *
 * @module
 */
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { SocketOptions } from "../transport/options.ts";
import type { IncomingTarget } from "./incoming_target.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { ParameterChanges } from "./parameters.ts";

/** Some capabilities, by QMP's names. */
export type CapabilityChanges = Readonly<Partial<Record<string, boolean>>>;

/** What there is to migrate. */
export interface MigrationControlOptions {
  /** Gives the machine that leaves; without it nothing can. Asked anew for each migration. */
  readonly source?: (() => OutgoingMachine | Promise<OutgoingMachine>) | undefined;
  /** Gives the place for a machine that arrives; without it none can. Asked anew for each migration. */
  readonly target?: () => IncomingTarget;
  /** How sockets are opened. */
  readonly transport?: SocketOptions;
  /** Threads in reserve; they stay the caller's. */
  readonly spares?: SpareWorkers;
}

/** Settings of one migration, over those of its control. */
export interface MigrateOptions {
  /** Capabilities other than the control has them. */
  readonly capabilities?: CapabilityChanges;
  /** Parameters other than the control has them. */
  readonly parameters?: ParameterChanges;
}

/** How a migration begins that goes on with another one. */
export interface ResumeOptions {
  /** Goes on with the migration that is `postcopy-paused`, whose settings stay. */
  readonly resume?: boolean;
  /** Goes on with a migration that another program has begun with the same image, and that is paused. */
  readonly takeUp?: boolean;
}

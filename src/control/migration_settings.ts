/**
 * What both sides of a migration are told.
 *
 * @module
 */
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { SocketOptions } from "../transport/options.ts";
import type { MigrationUri } from "../transport/uri.ts";
import type { Capabilities } from "./capabilities.ts";
import type { MigrationEvent } from "./migration_info.ts";
import type { Parameters } from "./parameters.ts";

/** What a side is told in any case. */
export interface MigrationSettings {
  readonly uri: MigrationUri;
  readonly capabilities: Capabilities;
  readonly parameters: Parameters;
  /** Gets the events QMP would emit, and is to return soon. */
  readonly onEvent?: (event: MigrationEvent) => void;
  readonly transport?: SocketOptions;
  /** Where threads are kept in reserve (`spare_threads.ts`); it stays the caller's. */
  readonly spares?: SpareWorkers;
}

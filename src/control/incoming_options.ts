/**
 * What an incoming migration is told.
 *
 * @module
 */
import type { FaultKind } from "../postcopy/missing_ram.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { SocketOptions } from "../transport/options.ts";
import type { MigrationUri } from "../transport/uri.ts";
import type { Capabilities } from "./capabilities.ts";
import type { MigrationEvent } from "./migration_info.ts";
import type { Parameters } from "./parameters.ts";

/** What a migration is told. */
export interface IncomingOptions {
  readonly uri: MigrationUri;
  readonly capabilities: Capabilities;
  readonly parameters: Parameters;
  /** Gets the events QMP would emit, and is to return soon. */
  readonly onEvent?: (event: MigrationEvent) => void;
  readonly transport?: SocketOptions;
  /** Where threads are kept in reserve (`spare_threads.ts`); it stays the caller's. */
  readonly spares?: SpareWorkers;
  /**
   * How long a source that has connected may take to say what machine it has: until then it could be
   * anybody, and keeps the source from connecting. In milliseconds.
   * @default {30000}
   */
  readonly beginningTimeout?: number;
  /** How guests are kept from pages that have not come, if not in the best way there is. */
  readonly wantedFaults?: FaultKind;
  /**
   * How long a source may take, once one of its channels is there, to open the others; in milliseconds.
   * @default {10000}
   */
  readonly channelsTimeout?: number;
  /**
   * How long nothing may pass on multifd channels that are waited for; in milliseconds.
   * @default {10000}
   */
  readonly stallTimeout?: number;
}

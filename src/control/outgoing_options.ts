/**
 * What an outgoing migration is told.
 *
 * @module
 */
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { SocketOptions } from "../transport/options.ts";
import type { MigrationUri } from "../transport/uri.ts";
import type { Capabilities } from "./capabilities.ts";
import type { MigrationEvent } from "./migration_info.ts";
import type { Parameters } from "./parameters.ts";

/** What a migration is told. */
export interface OutgoingOptions {
  readonly uri: MigrationUri;
  readonly capabilities: Capabilities;
  readonly parameters: Parameters;
  /** Gets the events QMP would emit, and is to return soon. */
  readonly onEvent?: (event: MigrationEvent) => void;
  readonly transport?: SocketOptions;
  /** Threads that were started before (`spare_threads.ts`); they stay the caller's. */
  readonly spares?: SpareWorkers;
  /**
   * How long a destination may take nothing of what is sent to it; in milliseconds.
   * @default {10000}
   */
  readonly stallTimeout?: number;
  /**
   * How long a destination may take to load its devices in postcopy, and to answer while a broken
   * migration is mended; in milliseconds.
   * @default {30000}
   */
  readonly answerTimeout?: number;
}

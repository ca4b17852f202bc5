/**
 * What an incoming migration is told.
 *
 * @module
 */
import type { FaultKind } from "../postcopy/missing_ram.ts";
import type { MigrationSettings } from "./migration_settings.ts";

/** What a migration is told. */
export interface IncomingOptions extends MigrationSettings {
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

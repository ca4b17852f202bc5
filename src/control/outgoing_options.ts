/**
 * What an outgoing migration is told.
 *
 * @module
 */
import type { MigrationSettings } from "./migration_settings.ts";

/** What a migration is told. */
export interface OutgoingOptions extends MigrationSettings {
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

/**
 * What an outgoing migration is told.
 *
 * @module
 */
import type { MigrationSettings } from "./migration_settings.ts";

/** What a migration is told. */
export interface OutgoingOptions extends MigrationSettings {
  /**
   * The machine runs at the destination, which waits for the rest of its pages (`postcopy-paused`): another
   * program has sent it and ended, and what it sent from has not changed since.
   * @default {false}
   */
  readonly takesUp?: boolean;
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

/**
 * Shows a migration until it is over.
 *
 * @module
 */
import type { IncomingMigration } from "../control/incoming.ts";
import type { MigrationInfo } from "../control/migration_info.ts";
import type { OutgoingMigration } from "../control/outgoing.ts";
import { watch } from "../control/watch.ts";
import type { Output } from "./output.ts";
import { incomingLine, outgoingLine } from "./progress_line.ts";

/**
 * Follows a migration that leaves.
 * @returns The final figures.
 * @throws {MigrationError} What ended it.
 */
export async function followOutgoing(
  migration: OutgoingMigration,
  output: Output,
): Promise<MigrationInfo> {
  for await (const info of watch(migration)) output.progress(outgoingLine(info));
  return await migration.completed;
}

/**
 * Follows a migration that arrives.
 * @returns The final figures.
 * @throws {MigrationError} What ended it.
 */
export async function followIncoming(
  migration: IncomingMigration,
  output: Output,
): Promise<MigrationInfo> {
  let before = { received: 0, time: performance.now() };
  for await (const info of watch(migration)) {
    const now = { received: migration.received, time: performance.now() };
    const seconds = (now.time - before.time) / 1000;
    const rate = seconds > 0 ? (now.received - before.received) / seconds : 0;
    output.progress(incomingLine(info, now.received, rate));
    before = now;
  }
  return await migration.completed;
}

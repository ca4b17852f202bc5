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
import type { Pauses } from "./pauses.ts";
import { incomingLine, outgoingLine } from "./progress_line.ts";

/**
 * Follows a migration that leaves.
 * @param pauses Says of each pause how it goes on, unless somebody else does.
 * @returns The final figures.
 * @throws {MigrationError} What ended it.
 */
export async function followOutgoing(
  migration: OutgoingMigration,
  output: Output,
  pauses?: Pauses,
): Promise<MigrationInfo> {
  for await (const info of watch(migration)) {
    output.progress(outgoingLine(info));
    pauses?.look(info);
  }
  return await migration.completed;
}

/**
 * Follows a migration that arrives.
 * @param pauses Says of each pause how it goes on, unless somebody else does.
 * @returns The final figures.
 * @throws {MigrationError} What ended it.
 */
export async function followIncoming(
  migration: IncomingMigration,
  output: Output,
  pauses?: Pauses,
): Promise<MigrationInfo> {
  let before = { received: 0, time: performance.now() };
  for await (const info of watch(migration)) {
    const now = { received: migration.received, time: performance.now() };
    const seconds = (now.time - before.time) / 1000;
    const rate = seconds > 0 ? (now.received - before.received) / seconds : 0;
    output.progress(incomingLine(info, now.received, rate));
    pauses?.look(info);
    before = now;
  }
  return await migration.completed;
}

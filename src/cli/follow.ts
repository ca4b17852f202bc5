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
  const pauses = new Pauses(output, "migrate-recover there, then migrate with resume=true here");
  for await (const info of watch(migration)) {
    output.progress(outgoingLine(info));
    pauses.look(info);
  }
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
  const pauses = new Pauses(output, "migrate-recover here, then migrate with resume=true there");
  let before = { received: 0, time: performance.now() };
  for await (const info of watch(migration)) {
    const now = { received: migration.received, time: performance.now() };
    const seconds = (now.time - before.time) / 1000;
    const rate = seconds > 0 ? (now.received - before.received) / seconds : 0;
    output.progress(incomingLine(info, now.received, rate));
    pauses.look(info);
    before = now;
  }
  return await migration.completed;
}

/** Says why a migration is paused, and how it goes on; once for each pause that is seen. */
class Pauses {
  #said: string | undefined;

  /** @param how What is to be told to the two sides, over QMP. */
  constructor(private readonly output: Output, private readonly how: string) {}

  look({ status, "error-desc": why }: MigrationInfo): void {
    if (status !== "postcopy-paused" || why === undefined) {
      // On its way through a recovery that may fail for the same reason.
      if (status === "postcopy-active") this.#said = undefined;
      return;
    }
    if (why === this.#said) return;
    this.#said = why;
    this.output.warn(`ferry: ${why}`);
    this.output.warn(`       It is postcopy-paused, and goes on with QMP's ${this.how}`);
  }
}

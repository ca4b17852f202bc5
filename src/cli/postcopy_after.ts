/**
 * `--postcopy-after`: lets the machine run at the destination after a while, its pages follow.
 *
 * @module
 */
import type { OutgoingMigration } from "../control/outgoing.ts";

/**
 * Begins to wait.
 * @param migration What was begun with the capability `postcopy-ram`.
 * @param after In milliseconds; 0 is as soon as can be, `undefined` never.
 * @returns Gives up waiting.
 */
export function startPostcopyAfter(
  migration: Pick<OutgoingMigration, "startPostcopy" | "completed">,
  after: number | undefined,
): Disposable {
  if (after === undefined) return { [Symbol.dispose]: () => {} };
  if (after === 0) migration.startPostcopy();
  const timer = after === 0 ? undefined : setTimeout(() => migration.startPostcopy(), after);
  const giveUp = () => clearTimeout(timer);
  migration.completed.then(giveUp, giveUp);
  return { [Symbol.dispose]: giveUp };
}

/**
 * A migration as a sequence of looks at it: what `for await (const info of migration)` gives.
 *
 * @module
 */
import type { MigrationInfo } from "./migration_info.ts";

/** How often a migration is looked at whose status does not change, in milliseconds. */
export const WATCH_INTERVAL_MS = 200;

/** Either side's migration, as far as it is watched. */
export interface Watchable {
  info(): MigrationInfo;
  readonly completed: Promise<unknown>;
}

/**
 * Looks at a migration until it is over, whichever way it ends.
 * @param migration What is watched.
 * @param intervalMs How long to wait between two looks.
 * @returns The figures of `query-migrate`; the last ones are final.
 */
export async function* watch(
  migration: Watchable,
  intervalMs: number = WATCH_INTERVAL_MS,
): AsyncGenerator<MigrationInfo, void, void> {
  let over = false;
  const ended = migration.completed.then(() => {}, () => {}).then(() => {
    over = true;
  });
  while (!over) {
    yield migration.info();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const interval = new Promise<void>((resolve) => timer = setTimeout(resolve, intervalMs));
    await Promise.race([ended, interval]);
    clearTimeout(timer);
  }
  yield migration.info();
}

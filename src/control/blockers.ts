/**
 * Why a machine must stay where it is (QEMU `migration/migration.c`, `migrate_add_blocker`).
 *
 * @module
 */
import { StateError } from "../errors.ts";

/** The reasons of one machine, in the order in which they were said. */
export class Blockers {
  readonly #blockers = new Set<{ readonly reason: string }>();

  /** @param isTooLate Whether a migration runs, which a new reason cannot stop. */
  constructor(private readonly isTooLate: () => boolean) {}

  /** All of them. */
  get reasons(): string[] {
    return [...this.#blockers].map(({ reason }) => reason);
  }

  /**
   * Adds a reason.
   * @returns Takes it back.
   * @throws {StateError} While a migration runs.
   */
  add(reason: string): () => void {
    if (this.isTooLate()) {
      throw new StateError(
        `A migration is in progress, so it is too late for a blocker: ${reason}`,
      );
    }
    const blocker = { reason };
    this.#blockers.add(blocker);
    return () => void this.#blockers.delete(blocker);
  }
}

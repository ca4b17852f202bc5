/**
 * Whose turn it is with a machine's dirty log: there is one at a time, and a migration comes before all
 * who only measure.
 *
 * @module
 */
import { StateError } from "../errors.ts";

/** Somebody who measures with the dirty log. */
export interface LogBorrower {
  /** Ends the log at once: a migration needs it. */
  giveUp(): Promise<void>;
  /** No migration needs it any more. */
  returned?(): void;
}

/** One machine's turns. */
export class DirtyLogTurns {
  #migrating = false;
  #arriving = false;
  #borrower: LogBorrower | undefined;
  /** Who was interrupted. */
  #interrupted: LogBorrower | undefined;

  /** Whether a migration has the log. */
  get migrating(): boolean {
    return this.#migrating;
  }

  /** Whether that is one by which the machine arrives: nobody else may touch its RAM. */
  get arriving(): boolean {
    return this.#arriving;
  }

  /** Whether the log can be borrowed. */
  get free(): boolean {
    return !this.#migrating && this.#borrower === undefined;
  }

  /**
   * Takes the log for something that a migration may interrupt.
   * @throws {StateError} If somebody has it.
   */
  borrow(borrower: LogBorrower): void {
    if (this.#migrating) throw new StateError("A migration is using the dirty log");
    if (this.#borrower) throw new StateError("The dirty log is in use by another measurement");
    this.#borrower = borrower;
  }

  /** The borrower has ended the log. */
  giveBack(borrower: LogBorrower): void {
    if (this.#borrower === borrower) this.#borrower = undefined;
    if (this.#interrupted === borrower) this.#interrupted = undefined;
  }

  /** Whoever would have borrowed the log, but for a migration, is told when that is over. */
  waitFor(borrower: LogBorrower): void {
    this.#interrupted = borrower;
  }

  /** A migration takes the log. @returns When nobody else has it any more. */
  async beginMigration(): Promise<void> {
    this.#migrating = true;
    const borrower = this.#borrower;
    if (!borrower) return;
    await borrower.giveUp();
    this.#borrower = undefined;
    this.#interrupted = borrower;
  }

  /** As {@linkcode beginMigration}, of one by which the machine arrives. */
  async beginArrival(): Promise<void> {
    this.#arriving = true;
    await this.beginMigration();
  }

  /** The migration has ended the log. */
  endMigration(): void {
    if (!this.#migrating) return;
    this.#migrating = false;
    this.#arriving = false;
    const interrupted = this.#interrupted;
    this.#interrupted = undefined;
    interrupted?.returned?.();
  }
}

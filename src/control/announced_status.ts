/**
 * Where one migration is in its state machine (`migration_status.ts`), every step of which is announced.
 *
 * @module
 */
import { asMigrationError, type MigrationError, StateError } from "../errors.ts";
import type { MigrationEvent } from "./migration_info.ts";
import { type MigrationStatus, nextStatus, type StatusTable } from "./migration_status.ts";

/** What {@linkcode AnnouncedStatus} is made of. */
export interface AnnouncedStatusOptions<Event extends string> {
  /** `OUTGOING` or `INCOMING`. */
  readonly table: StatusTable<Event>;
  /** What the migration is called when it refuses a step: `A migration`. */
  readonly who: string;
  /** Gets the events QMP would emit. */
  readonly onEvent: ((event: MigrationEvent) => void) | undefined;
  /** Told what `onEvent` has thrown, which does not get any further. */
  readonly onListenerFailure: (error: MigrationError) => void;
}

/** One migration's status. */
export class AnnouncedStatus<Event extends string> {
  #now: MigrationStatus = "none";

  /** Begins with `none`. @param options Which state machine, and who hears of it. */
  constructor(private readonly options: AnnouncedStatusOptions<Event>) {}

  /** The status. */
  get now(): MigrationStatus {
    return this.#now;
  }

  /** Whether something may happen now. */
  allows(event: Event): boolean {
    return nextStatus(this.options.table, this.#now, event) !== undefined;
  }

  /** Something has happened. @throws {StateError} If it may not happen now. */
  move(event: Event): void {
    const { table, who } = this.options;
    const next = nextStatus(table, this.#now, event);
    if (!next) throw new StateError(`${who} that is ${this.#now} cannot ${event}`);
    this.#now = next;
    this.emit({ event: "MIGRATION", data: { status: next } });
  }

  /** Announces something else. */
  emit(event: MigrationEvent): void {
    try {
      this.options.onEvent?.(event);
    } catch (error) {
      this.options.onListenerFailure(asMigrationError(error));
    }
  }
}

/**
 * Ctrl-C: the first one asks what is going on to end in good order, a second one ends the program.
 *
 * @module
 */

import type { MigrationControl } from "../control/migration_control.ts";
import { StateError } from "../errors.ts";
import type { Output } from "./output.ts";

/** The program's exit status after an interruption. */
export const INTERRUPTED = 130;

const SIGNALS: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Listens for interruptions until it is disposed of. */
export class Interrupt implements Disposable {
  /** Resolves with the first one. */
  readonly happened: Promise<void>;
  readonly #happened = Promise.withResolvers<void>();
  #count = 0;
  readonly #listener = () => this.now();

  /** @param action Called for the first interruption. */
  constructor(private readonly action: () => void = () => {}) {
    this.happened = this.#happened.promise;
    for (const signal of SIGNALS) Deno.addSignalListener(signal, this.#listener);
  }

  /** Whether there was one. */
  get isInterrupted(): boolean {
    return this.#count > 0;
  }

  /** Interrupts, as a signal does. */
  now(): void {
    if (++this.#count > 1) Deno.exit(INTERRUPTED);
    this.#happened.resolve();
    this.action();
  }

  /** Leaves signals to Deno again, which ends the program. */
  [Symbol.dispose](): void {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, this.#listener);
  }
}

/** Cancels the migration that runs; that it is too late is only said. */
export function cancel(control: MigrationControl, output: Output): void {
  try {
    control.cancel();
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    output.warn(error.message);
    output.warn("       Interrupt once more to end the program all the same");
  }
}

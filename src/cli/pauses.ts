/**
 * What is said of a migration that is `postcopy-paused`, where it is mended by QMP.
 *
 * @module
 */
import type { MigrationInfo } from "../control/migration_info.ts";
import type { Output } from "./output.ts";

/** Says why a migration is paused, and how it goes on; once for each pause that is seen. */
export class Pauses {
  #said: string | undefined;

  /** @param how What is to be told to the two sides, over QMP. */
  constructor(private readonly output: Pick<Output, "warn">, private readonly how: string) {}

  /** Looks at a migration; to be called again and again. */
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

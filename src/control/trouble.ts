/**
 * One migration's bad news. Whatever goes wrong anywhere (a worker, a connection, the return path, the
 * user's cancel) is reported here, and everything that waits hears of it: the first report counts.
 *
 * @module
 */
import type { MigrationError } from "../errors.ts";

/** Where failures of one migration come together. */
export class Trouble {
  #error: MigrationError | undefined;
  readonly #waiting = new Set<(error: MigrationError) => void>();
  readonly #listeners: (() => void)[] = [];

  /** The first failure, if there was one. */
  get error(): MigrationError | undefined {
    return this.#error;
  }

  /** Adds a function that is called once something has failed. */
  onFailure(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Reports a failure; only the first one counts. */
  report(error: MigrationError): void {
    if (this.#error) return;
    this.#error = error;
    for (const reject of this.#waiting) reject(error);
    for (const listener of this.#listeners) listener();
  }

  /** Throws the failure, if there was one. */
  readonly check = (): void => {
    if (this.#error) throw this.#error;
  };

  /**
   * Waits for something, but not beyond a failure.
   * @throws {MigrationError} What was reported; what is waited for goes on unheard.
   */
  async guard<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => {}); // it may fail when nobody waits for it any more
    this.check();
    const { promise: failed, reject } = Promise.withResolvers<never>();
    this.#waiting.add(reject);
    try {
      return await Promise.race([promise, failed]);
    } finally {
      this.#waiting.delete(reject);
    }
  }
}

/**
 * A list that grows while somebody waits for what will be in it: what tests use instead of sleeping.
 *
 * @module
 */

/** How long a test waits for something before it says that it hangs, in milliseconds. */
export const PATIENCE_MS = 60_000;

/** Waiting took longer than {@linkcode PATIENCE_MS}: something hangs. */
export class PatienceError extends Error {
  override readonly name = "PatienceError";
}

/** How to wait. */
export interface WaitOptions {
  /** What is awaited, for the error message. */
  readonly what: string;
  /** The first entry to look at. @default {0} */
  readonly from?: number;
  /** When to give up, in milliseconds. @default {PATIENCE_MS} */
  readonly patienceMs?: number;
}

interface Waiter<T> {
  readonly match: (entry: T) => boolean;
  readonly from: number;
  readonly resolve: (index: number) => void;
  readonly reject: (error: Error) => void;
}

/** Entries in the order they came. */
export class EventLog<T> {
  readonly #entries: T[] = [];
  readonly #waiters = new Set<Waiter<T>>();
  #ended: Error | undefined;

  /** All entries so far. */
  get entries(): readonly T[] {
    return this.#entries;
  }

  /** Adds an entry and wakes who waits for it. */
  push(entry: T): void {
    const index = this.#entries.push(entry) - 1;
    for (const waiter of [...this.#waiters]) {
      if (index < waiter.from || !waiter.match(entry)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(index);
    }
  }

  /**
   * Says that nothing will come any more; who waits, now or later, in vain gets the reason.
   * @param reason Why; the first one counts.
   */
  end(reason: Error): void {
    this.#ended ??= reason;
    for (const waiter of this.#waiters) waiter.reject(this.#ended);
    this.#waiters.clear();
  }

  /**
   * Waits for an entry; those that are there already count.
   * @param match Which one.
   * @param options Where to begin, and how to give up.
   * @returns The index of the first one that matches.
   * @throws {PatienceError} When none came in time.
   * @throws {Error} The reason given to {@linkcode EventLog.end}.
   */
  async wait(match: (entry: T) => boolean, options: WaitOptions): Promise<number> {
    const { what, from = 0, patienceMs = PATIENCE_MS } = options;
    const known = this.#entries.findIndex((entry, index) => index >= from && match(entry));
    if (known >= 0) return known;
    if (this.#ended) throw this.#ended;
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const waiter = { match, from, resolve, reject };
    this.#waiters.add(waiter);
    const timer = setTimeout(() => {
      this.#waiters.delete(waiter);
      reject(new PatienceError(`Waited ${patienceMs} ms in vain for ${what}`));
    }, patienceMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * Waits for a promise, but not for ever.
 * @param promise What is awaited.
 * @param what Its name in the error message.
 * @param patienceMs When to give up, in milliseconds.
 * @returns What the promise gives.
 * @throws {PatienceError} When it took too long.
 */
export async function withPatience<T>(
  promise: PromiseLike<T>,
  what: string,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new PatienceError(`Waited ${patienceMs} ms in vain for ${what}`)),
    patienceMs,
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

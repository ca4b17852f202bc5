/**
 * Waits that a caller can give up: by an AbortSignal, or by a limit of time. Whoever waits says how to
 * undo what was begun, so that nothing half open is left behind.
 *
 * @module
 */
import { CancelledError, TransportError } from "../errors.ts";

/** How long a wait may last. */
export interface WaitOptions {
  /** Ends the wait with a {@linkcode CancelledError}. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the wait with a {@linkcode TransportError}; without it there is no limit. */
  readonly timeoutMs?: number | undefined;
}

/** The two ways a wait ends by itself. */
export interface Settle<T> {
  /** With what was waited for. */
  resolve(value: T): void;
  /** With why it will not come. */
  reject(reason: unknown): void;
}

/**
 * Begins something and waits for it.
 * @param what What is waited for, as the start of a sentence: `Connecting to tcp:10.0.0.2:4444`.
 * @param options When to give up.
 * @param begin Begins it; returns what undoes it, which is called once if the wait is given up.
 * @returns What `begin` resolved with.
 * @throws {CancelledError} If the signal was aborted.
 * @throws {TransportError} If the time was up.
 */
export async function waitFor<T>(
  what: string,
  options: WaitOptions,
  begin: (settle: Settle<T>) => () => void,
): Promise<T> {
  const { signal, timeoutMs } = options;
  const cancelled = () => new CancelledError(`${what} was cancelled`, { cause: signal?.reason });
  if (signal?.aborted) throw cancelled();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let over = false;
  const end = <A>(settle: (argument: A) => void) => (argument: A) => {
    over = true; // what was begun is the caller's now, even if the signal fires before it runs
    settle(argument);
  };
  const undo = begin({ resolve: end(resolve), reject: end(reject) });
  const giveUp = (reason: unknown) => {
    if (over) return;
    over = true;
    undo();
    reject(reason);
  };
  const onAbort = () => giveUp(cancelled());
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer = timeoutMs === undefined ? undefined : setTimeout(
    () => giveUp(new TransportError(`${what}: nothing within ${timeoutMs} ms`)),
    timeoutMs,
  );
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

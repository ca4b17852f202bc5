/**
 * For tests that wait for what another thread writes into shared memory: that alone keeps no event loop
 * going, and the runner takes a loop that has nothing to do for a test that will never end.
 *
 * @module
 */

/** Keeps this thread's event loop going until it is disposed of. */
export function keepAlive(): Disposable {
  const timer = setInterval(() => {}, 1000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/**
 * What one channel has done, counted by the worker that owns it and read by the main thread at any time.
 *
 * @module
 */

/** The counters, in their order in shared memory. */
const NAMES = [
  /** Bytes read from the channel, or written to it, also those that still fill its buffer. */
  "bytes",
  /** Multifd packets, or writes of the main channel's buffer. */
  "packets",
  /** Pages sent or received with their content. */
  "normalPages",
  /** Pages sent or received as zeros. */
  "zeroPages",
  /** Pages of other encodings (XBZRLE). */
  "encodedPages",
  /** Milliseconds the worker had nothing to do. */
  "idleMs",
  /** Milliseconds the worker waited for the connection. */
  "waitMs",
] as const;
/** A counter's name. */
export type ChannelCounter = typeof NAMES[number];

/** The counters of one channel, in shared memory; one thread writes, all may read. */
export class ChannelCounters {
  readonly #values: Float64Array<SharedArrayBuffer>;

  /** @param buffer The shared memory of counters made in another thread; new ones without it. */
  constructor(
    readonly buffer: SharedArrayBuffer = new SharedArrayBuffer(8 * NAMES.length),
  ) {
    this.#values = new Float64Array(buffer);
  }

  /** Adds to a counter. */
  add(name: ChannelCounter, amount: number): void {
    this.#values[NAMES.indexOf(name)]! += amount;
  }

  /** A counter's value. */
  get(name: ChannelCounter): number {
    return this.#values[NAMES.indexOf(name)]!;
  }

  /** All values at one moment. */
  snapshot(): Record<ChannelCounter, number> {
    return Object.fromEntries(NAMES.map((name, i) => [name, this.#values[i]!])) as Record<
      ChannelCounter,
      number
    >;
  }
}

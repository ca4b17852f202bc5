/**
 * What the main thread and the worker of the main channel tell each other about XBZRLE, in shared memory:
 * from when on and with how large a cache; and what came of it.
 *
 * @module
 */

/** Written by the main thread. */
const Setting = { ROUND: 0, CACHE_SIZE: 1, LAST_STAGE: 2 } as const;
/** Written by the worker, after the settings. */
const COUNTERS = ["bytes", "pages", "cacheMiss", "overflow"] as const;
const FIRST_COUNTER = 8;

/**
 * What the worker counts: bytes of the records without their first 8, or of whole pages where the
 * differences were more; pages found in the cache; pages not found there; pages whose differences were
 * more than a page.
 */
export type XbzrleCounter = typeof COUNTERS[number];

/** Settings and counters, as both threads see them. */
export class XbzrleControl {
  readonly #values: Float64Array<SharedArrayBuffer>;

  /** @param buffer What {@linkcode XbzrleControl.create} made, in this or another thread. */
  constructor(readonly buffer: SharedArrayBuffer) {
    this.#values = new Float64Array(buffer);
  }

  /** Makes one that has not begun. @param cacheSize In bytes, a power of two. */
  static create(cacheSize: number): XbzrleControl {
    const control = new XbzrleControl(
      new SharedArrayBuffer(8 * (FIRST_COUNTER + COUNTERS.length)),
    );
    control.cacheSize = cacheSize;
    return control;
  }

  /** The number of the round; 0 in the first round, when pages are sent as they are. */
  get round(): number {
    return this.#values[Setting.ROUND]!;
  }

  set round(round: number) {
    this.#values[Setting.ROUND] = round;
  }

  /** Whether the guest is stopped: what is sent now will never be differed from. */
  get lastStage(): boolean {
    return this.#values[Setting.LAST_STAGE] !== 0;
  }

  set lastStage(lastStage: boolean) {
    this.#values[Setting.LAST_STAGE] = Number(lastStage);
  }

  /** Bytes of the cache. A cache whose size changes begins empty. */
  get cacheSize(): number {
    return this.#values[Setting.CACHE_SIZE]!;
  }

  set cacheSize(size: number) {
    this.#values[Setting.CACHE_SIZE] = size;
  }

  /** Adds to a counter; only the worker does. */
  count(counter: XbzrleCounter, amount: number): void {
    this.#values[FIRST_COUNTER + COUNTERS.indexOf(counter)]! += amount;
  }

  /** A counter's value. */
  counter(counter: XbzrleCounter): number {
    return this.#values[FIRST_COUNTER + COUNTERS.indexOf(counter)]!;
  }
}

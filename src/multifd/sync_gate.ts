/**
 * Where the receiving threads of a multifd migration meet (wire-format §6.6): a channel that has had its
 * SYNC packet waits here, and goes on when the main thread has met the mark that belongs to it on the
 * main channel, and all other channels have come as far.
 *
 * @module
 */

/** The slots, in 32-bit words; those that two threads write have a cache line of their own. */
const Word = {
  /** How many marks have been met; written by the main thread. */
  RELEASED: 0,
  /** Not 0 once nobody is to wait any more; written by the main thread. */
  STOP: 1,
  /** Changes with every arrival: what the main thread waits on. */
  BELL: 16,
  /** How many SYNC packets the first channel has had; then the second, and so on. */
  ARRIVED: 32,
} as const;

/** A channel looks this many times before it sleeps: not longer than waking it would take. */
const SPINS = 200;

/** How often the main thread looks whether waiting still has a point, in milliseconds. */
const LOOK_MS = 1000;

/** The gate, as any thread sees it. */
export class SyncGate {
  readonly #words: Int32Array<SharedArrayBuffer>;
  #marks = 0;

  /** @param buffer What {@linkcode SyncGate.create} made, in this or another thread. */
  constructor(readonly buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
  }

  /** Makes a gate. @param channels How many channels meet. */
  static create(channels: number): SyncGate {
    return new SyncGate(new SharedArrayBuffer(4 * (Word.ARRIVED + channels)));
  }

  /** How many channels meet. */
  get channels(): number {
    return this.#words.length - Word.ARRIVED;
  }

  // ── a channel's thread ────────────────────────────────────────────────────────────────────────

  /**
   * Says that a channel has had a SYNC, and blocks its thread until that is released. Nothing of the
   * thread's own may be in flight.
   * @returns Whether to go on; `false` once the gate was stopped.
   */
  arrive(channel: number): boolean {
    const words = this.#words;
    const mine = Atomics.add(words, Word.ARRIVED + channel, 1) + 1;
    this.#ring();
    const held = () => Atomics.load(words, Word.RELEASED) < mine && !this.stopped;
    for (let i = 0; i < SPINS && held(); i++) Atomics.pause();
    while (held()) {
      const released = Atomics.load(words, Word.RELEASED);
      if (released < mine && !this.stopped) Atomics.wait(words, Word.RELEASED, released);
    }
    return !this.stopped;
  }

  /** Whether {@linkcode SyncGate.stop} was called. */
  get stopped(): boolean {
    return Atomics.load(this.#words, Word.STOP) !== 0;
  }

  // ── the main thread ───────────────────────────────────────────────────────────────────────────

  /** The channels whose SYNC for the next mark has not come. */
  missing(): number[] {
    const missing: number[] = [];
    for (let channel = 0; channel < this.channels; channel++) {
      const arrived = Atomics.load(this.#words, Word.ARRIVED + channel);
      if (arrived <= this.#marks) missing.push(channel);
    }
    return missing;
  }

  /**
   * Meets a mark: waits until every channel has had its SYNC, and releases them.
   * @param check Throws when waiting has no point any more; called at least every second.
   * @param onMet Called when all have had theirs, before they are released.
   */
  async meet(check: () => void, onMet?: () => void): Promise<void> {
    for (;;) {
      const seen = Atomics.load(this.#words, Word.BELL);
      check();
      if (this.missing().length === 0) break;
      const wait = Atomics.waitAsync(this.#words, Word.BELL, seen, LOOK_MS);
      if (wait.async) await wait.value;
    }
    onMet?.();
    Atomics.store(this.#words, Word.RELEASED, ++this.#marks);
    Atomics.notify(this.#words, Word.RELEASED);
  }

  /** Makes whoever waits look again. */
  #ring(): void {
    Atomics.add(this.#words, Word.BELL, 1);
    Atomics.notify(this.#words, Word.BELL);
  }

  /** Makes {@linkcode SyncGate.meet} call its `check`. */
  wake(): void {
    this.#ring();
  }

  /** Lets all channels go, for good. */
  stop(): void {
    Atomics.store(this.#words, Word.STOP, 1);
    // The value changes too, so that a thread about to sleep on it does not.
    Atomics.store(this.#words, Word.RELEASED, 0x7fffffff);
    Atomics.notify(this.#words, Word.RELEASED);
    this.#ring();
  }
}

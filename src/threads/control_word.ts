/**
 * The vCPU's control word: what the main thread wants of a vCPU, in one 32-bit number of shared memory
 * that the vCPU looks at between two steps of its guest, and what the vCPU says of itself beside it.
 *
 * ```text
 * word      bit 0-1 command | 2-8 throttle, percent | 9 marks | 10 presence | 11-31 sequence
 * slot      int32 0  control word        written by the main thread, looked at by the vCPU
 *           int32 1  acknowledged word   written by the vCPU
 *           int64 8  and on: counters    written by the vCPU (a cache line of their own)
 * ```
 *
 * An order is obeyed when the vCPU has copied the whole word to the second slot. The sequence makes
 * every order a new number, so that the answer to an old one is never taken for the answer to this one.
 *
 * @module
 */

/** What a vCPU is told to do. */
export const COMMANDS = ["run", "pause", "stop"] as const;
/** One of {@linkcode COMMANDS}. */
export type Command = typeof COMMANDS[number];

/** The most a vCPU can be throttled, in percent of its time. */
export const THROTTLE_MAX = 99;

/** What a control word says. */
export interface Order {
  /** What the vCPU is to do. */
  readonly command: Command;
  /** How much of its time the vCPU sleeps, in percent; 0 is none. */
  readonly throttle: number;
  /** The guest marks the pages it has written (`Machine.setChecks()`). */
  readonly marks: boolean;
  /** The guest asks for the presence of the pages it is about to use. */
  readonly presence: boolean;
}

/** What a vCPU counts; times in microseconds. */
export const COUNTERS = ["steps", "pages", "throttledTime", "idleTime"] as const;
/** One of {@linkcode COUNTERS}. */
export type Counter = typeof COUNTERS[number];

const WORD = 0;
const ACKNOWLEDGED = 1;
const FIRST_COUNTER = 8;
const BYTES = 128;
const SEQUENCE_SHIFT = 11;

/** Packs an order; `sequence` counts orders and wraps. */
export function encodeOrder(order: Order, sequence: number): number {
  return COMMANDS.indexOf(order.command) | order.throttle << 2 | Number(order.marks) << 9 |
    Number(order.presence) << 10 | sequence << SEQUENCE_SHIFT;
}

/** What a control word says. */
export function decodeOrder(word: number): Order {
  return {
    command: COMMANDS[word & 3] ?? "stop",
    throttle: word >>> 2 & 0x7f,
    marks: (word >>> 9 & 1) !== 0,
    presence: (word >>> 10 & 1) !== 0,
  };
}

/** One vCPU's control word, acknowledgement and counters, as any thread sees them. */
export class ControlWord {
  readonly #slots: Int32Array<SharedArrayBuffer>;
  readonly #counters: BigInt64Array<SharedArrayBuffer>;

  /**
   * Opens a control word.
   * @param memory What {@linkcode ControlWord.create} made, in this or another thread.
   */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#slots = new Int32Array(memory, 0, 2);
    this.#counters = new BigInt64Array(memory, FIRST_COUNTER * 8, COUNTERS.length);
  }

  /** Makes a control word that says `pause`, and that nobody has acknowledged. */
  static create(): ControlWord {
    const control = new ControlWord(new SharedArrayBuffer(BYTES));
    control.order({ command: "pause" });
    return control;
  }

  /** The control word. */
  get word(): number {
    return Atomics.load(this.#slots, WORD);
  }

  /** What the control word says. */
  get current(): Order {
    return decodeOrder(this.word);
  }

  /**
   * Changes the control word and wakes the vCPU. Only one thread gives orders.
   * @param change What is to be different.
   * @returns The new word: the one to be acknowledged.
   */
  order(change: Partial<Order>): number {
    const old = this.word;
    const word = encodeOrder({ ...decodeOrder(old), ...change }, (old >>> SEQUENCE_SHIFT) + 1);
    Atomics.store(this.#slots, WORD, word);
    Atomics.notify(this.#slots, WORD);
    return word;
  }

  /** The last word the vCPU has obeyed; 0 before the first. */
  get acknowledged(): number {
    return Atomics.load(this.#slots, ACKNOWLEDGED);
  }

  /** Says that the vCPU obeys a word; what it wrote before is visible to who sees this. */
  acknowledge(word: number): void {
    Atomics.store(this.#slots, ACKNOWLEDGED, word);
  }

  /**
   * Blocks this thread while the control word is `word`.
   * @param milliseconds At most so long.
   */
  wait(word: number, milliseconds = Infinity): void {
    Atomics.wait(this.#slots, WORD, word, milliseconds);
  }

  /** As {@linkcode wait}, while this thread's event loop goes on. */
  async waitAsync(word: number, milliseconds = Infinity): Promise<void> {
    const waiting = Atomics.waitAsync(this.#slots, WORD, word, milliseconds);
    if (waiting.async) await waiting.value;
  }

  /** Adds to a counter; only the vCPU does. */
  count(counter: Counter, amount: bigint): void {
    Atomics.add(this.#counters, COUNTERS.indexOf(counter), amount);
  }

  /** Counts one step: what {@linkcode count} does, for the loop. */
  countStep(): void {
    Atomics.add(this.#counters, 0, 1n);
  }

  /** A counter's value. */
  counter(counter: Counter): number {
    return Number(Atomics.load(this.#counters, COUNTERS.indexOf(counter)));
  }
}

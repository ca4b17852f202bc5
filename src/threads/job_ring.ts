/**
 * The ring through which the main thread hands work to one sending worker: one producer, one consumer,
 * no lock, bounded. What is pushed first is sent first, so bytes (headers, commands, device state) and
 * batches of pages keep their order on the channel.
 *
 * A batch names pages, it does not carry them: runs of pages of one block. The worker claims each page in
 * the block's dirty bitmap as it sends it; a page that is clean, or that somebody else has claimed meanwhile,
 * is passed over.
 *
 * @module
 */

/** What a slot holds. */
export const JobKind = {
  /** Pages of one block, as runs. */
  BATCH: 1,
  /** Bytes to be sent as they are. */
  BYTES: 2,
  /** Everything before it is to be written; a multifd channel then sends its synchronisation packet. */
  SYNC: 3,
  /** Nothing follows: the worker sends what it holds, ends its side of the channel and stops. */
  END: 4,
  /**
   * From here on the worker encloses pages in parts of the `ram` section by itself, and sends pages that
   * were asked for between them (`threads/request_queue.ts`).
   */
  POSTCOPY: 5,
  /** What follows is written from another place of the file on. */
  SEEK: 6,
} as const;
/** One of the {@linkcode JobKind} numbers. */
export type JobKind = typeof JobKind[keyof typeof JobKind];

/** The most pages in one batch. */
export const BATCH_PAGES_MAX = 512;
/** The most runs in one batch. */
export const BATCH_RUNS_MAX = 128;

/** Slot: kind, block index or byte count, number of runs, page total; then runs, bytes or a position. */
const SLOT_HEADER_WORDS = 4;
const SLOT_WORDS = SLOT_HEADER_WORDS + 2 * BATCH_RUNS_MAX;
/** The most bytes that one BYTES job carries. */
export const JOB_BYTES_MAX = 4 * (SLOT_WORDS - SLOT_HEADER_WORDS);

/** Control words, each on a cache line of its own because two threads write them. */
const Word = {
  /** How many jobs were pushed; written by the producer. */
  PUSHED: 0,
  /** How many jobs were finished; written by the consumer. */
  POPPED: 16,
  /** Not 0 once the worker must end at once; written by the producer. */
  STOP: 32,
  /** Changes with every push and with the stop: what the consumer sleeps on. */
  BELL: 33,
} as const;
const CONTROL_WORDS = 48;

/**
 * The consumer looks this many times before it sleeps: not longer than waking it would take, even where
 * this loop is interpreted.
 */
const SPINS = 200;

/** A ring as it is posted to its worker. */
export interface JobRingLayout {
  readonly buffer: SharedArrayBuffer;
  /** A power of two. */
  readonly slots: number;
  /** A counter that every consumer of the producer's bumps when it has got on; see {@linkcode Progress}. */
  readonly progress: SharedArrayBuffer;
}

/** What the producer waits on when it has nothing to do until some worker gets on. */
export class Progress {
  readonly #word: Int32Array<SharedArrayBuffer>;

  /** @param buffer Four bytes, shared with all consumers. */
  constructor(readonly buffer: SharedArrayBuffer = new SharedArrayBuffer(4)) {
    this.#word = new Int32Array(buffer);
  }

  /** The present count; to be passed to {@linkcode Progress.changed}. */
  get count(): number {
    return Atomics.load(this.#word, 0);
  }

  /** Says that something has changed. */
  bump(): void {
    Atomics.add(this.#word, 0, 1);
    Atomics.notify(this.#word, 0);
  }

  /**
   * Waits until the count differs from one seen earlier.
   * @param seen What {@linkcode Progress.count} was before the caller looked at what it waits for.
   * @param timeoutMs How long at most, in milliseconds.
   */
  async changed(seen: number, timeoutMs = 1000): Promise<void> {
    const wait = Atomics.waitAsync(this.#word, 0, seen, timeoutMs);
    if (wait.async) await wait.value;
  }
}

/** The ring as both threads see it; each uses its own half of the methods. */
export class JobRing {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #mask: number;
  readonly #progress: Progress;

  /** @param layout What {@linkcode JobRing.create} made, in this or another thread. */
  constructor(readonly layout: JobRingLayout) {
    this.#control = new Int32Array(layout.buffer, 0, CONTROL_WORDS);
    this.#words = new Int32Array(layout.buffer, CONTROL_WORDS * 4);
    this.#bytes = new Uint8Array(layout.buffer, CONTROL_WORDS * 4);
    this.#mask = layout.slots - 1;
    this.#progress = new Progress(layout.progress);
  }

  /**
   * Makes an empty ring.
   * @param slots How many jobs may wait; a power of two.
   * @param progress What the producer waits on.
   */
  static create(slots: number, progress: Progress): JobRing {
    if ((slots & (slots - 1)) !== 0 || slots < 1) {
      throw new RangeError(`Not a power of two: ${slots}`);
    }
    const buffer = new SharedArrayBuffer((CONTROL_WORDS + slots * SLOT_WORDS) * 4);
    return new JobRing({ buffer, slots, progress: progress.buffer });
  }

  /** How many jobs are waiting or being done. */
  get pending(): number {
    return (Atomics.load(this.#control, Word.PUSHED) - Atomics.load(this.#control, Word.POPPED)) |
      0;
  }

  // ── producer ──────────────────────────────────────────────────────────────────────────────────

  /** How many jobs can be pushed now. */
  get free(): number {
    return this.layout.slots - this.pending;
  }

  #publish(kind: JobKind): void {
    const pushed = Atomics.load(this.#control, Word.PUSHED);
    this.#words[(pushed & this.#mask) * SLOT_WORDS] = kind;
    Atomics.store(this.#control, Word.PUSHED, (pushed + 1) | 0);
    this.#ring();
  }

  #ring(): void {
    Atomics.add(this.#control, Word.BELL, 1);
    Atomics.notify(this.#control, Word.BELL);
  }

  #pushSlot(): number {
    if (this.free === 0) throw new RangeError("The job ring is full");
    return (Atomics.load(this.#control, Word.PUSHED) & this.#mask) * SLOT_WORDS;
  }

  /**
   * Begins a batch; there must be room. Runs are added with {@linkcode JobRing.addRun}, and
   * {@linkcode JobRing.publishBatch} makes it the worker's.
   * @param block The block's index.
   */
  beginBatch(block: number): void {
    const slot = this.#pushSlot();
    this.#words[slot + 1] = block;
    this.#words[slot + 2] = 0;
    this.#words[slot + 3] = 0;
  }

  /**
   * Adds `count` pages from `first` on; at most {@linkcode BATCH_RUNS_MAX} times, and at most
   * {@linkcode BATCH_PAGES_MAX} pages.
   * @param toSend How many of them are to be sent, where clean pages lie between them: these alone count
   * for the batch, of which each run may be that long. @default {count}
   */
  addRun(first: number, count: number, toSend = count): void {
    const slot = this.#pushSlot();
    const runs = this.#words[slot + 2]!;
    const pages = this.#words[slot + 3]! + toSend;
    if (pages > BATCH_PAGES_MAX || count > BATCH_PAGES_MAX || runs === BATCH_RUNS_MAX) {
      throw new RangeError(
        `A batch of ${pages} pages in ${runs + 1} runs, one of them of ${count}`,
      );
    }
    this.#words[slot + SLOT_HEADER_WORDS + 2 * runs] = first;
    this.#words[slot + SLOT_HEADER_WORDS + 2 * runs + 1] = count;
    this.#words[slot + 2] = runs + 1;
    this.#words[slot + 3] = pages;
  }

  /** Hands the batch over. */
  publishBatch(): void {
    this.#publish(JobKind.BATCH);
  }

  /** Pushes at most {@linkcode JOB_BYTES_MAX} bytes; there must be room. */
  pushBytes(bytes: Uint8Array): void {
    if (bytes.length > JOB_BYTES_MAX) throw new RangeError(`A job of ${bytes.length} bytes`);
    const slot = this.#pushSlot();
    this.#words[slot + 1] = bytes.length;
    this.#bytes.set(bytes, (slot + SLOT_HEADER_WORDS) * 4);
    this.#publish(JobKind.BYTES);
  }

  /** Pushes a job without content; there must be room. */
  pushMark(kind: typeof JobKind.SYNC | typeof JobKind.END | typeof JobKind.POSTCOPY): void {
    this.#pushSlot();
    this.#publish(kind);
  }

  /** Pushes a position in the file, in bytes from its start; there must be room. */
  pushSeek(position: number): void {
    const slot = this.#pushSlot() + SLOT_HEADER_WORDS;
    this.#words[slot] = position % 2 ** 32;
    this.#words[slot + 1] = Math.floor(position / 2 ** 32);
    this.#publish(JobKind.SEEK);
  }

  /** Makes a worker that waits look up, on any thread. */
  wake(): void {
    this.#ring();
  }

  /** Ends the worker at once, wherever it waits; jobs that wait are not done. */
  stop(): void {
    Atomics.store(this.#control, Word.STOP, 1);
    this.#ring();
  }

  // ── consumer ──────────────────────────────────────────────────────────────────────────────────

  /** Whether {@linkcode JobRing.stop} was called. */
  get stopped(): boolean {
    return Atomics.load(this.#control, Word.STOP) !== 0;
  }

  /**
   * Blocks this thread until there is a job or the ring was stopped. Nothing of the thread's own may be
   * in flight: its event loop stands still meanwhile.
   * @param other Whether there is something else to do; who makes it so calls {@linkcode JobRing.wake}.
   * @returns Whether there is a job or something else; `false` after a stop.
   */
  waitForJob(other: () => boolean = () => false): boolean {
    for (let i = 0; i < SPINS; i++) {
      if (this.pending > 0 || other()) return true;
      if (this.stopped) return false;
      Atomics.pause();
    }
    for (;;) {
      // The bell is read before the look: a push or a stop in between makes the wait return at once.
      // It may also return for a push whose job is done already: then there is nothing, and it rings again.
      const bell = Atomics.load(this.#control, Word.BELL);
      if (this.pending > 0 || other()) return true;
      if (this.stopped) return false;
      Atomics.wait(this.#control, Word.BELL, bell);
    }
  }

  get #slot(): number {
    return (Atomics.load(this.#control, Word.POPPED) & this.#mask) * SLOT_WORDS;
  }

  /** The kind of the job at hand; there must be one. */
  get kind(): JobKind {
    return this.#words[this.#slot] as JobKind;
  }

  /** The index of the block of the batch at hand. */
  get block(): number {
    return this.#words[this.#slot + 1]!;
  }

  /** How many runs the batch at hand has. */
  get runs(): number {
    return this.#words[this.#slot + 2]!;
  }

  /** The first page of a run of the batch at hand. */
  runFirst(run: number): number {
    return this.#words[this.#slot + SLOT_HEADER_WORDS + 2 * run]!;
  }

  /** How many pages a run of the batch at hand has. */
  runCount(run: number): number {
    return this.#words[this.#slot + SLOT_HEADER_WORDS + 2 * run + 1]!;
  }

  /** The bytes of the BYTES job at hand, in place: valid until {@linkcode JobRing.pop}. */
  bytes(): Uint8Array<SharedArrayBuffer> {
    const from = (this.#slot + SLOT_HEADER_WORDS) * 4;
    return this.#bytes.subarray(from, from + this.#words[this.#slot + 1]!);
  }

  /** The position of the SEEK job at hand. */
  get position(): number {
    const slot = this.#slot + SLOT_HEADER_WORDS;
    return this.#words[slot + 1]! * 2 ** 32 + (this.#words[slot]! >>> 0);
  }

  /**
   * Finishes the job at hand and frees its slot. The producer is told once half of the ring is free: one that
   * waits for room would be woken for every job otherwise.
   */
  pop(): void {
    Atomics.add(this.#control, Word.POPPED, 1);
    if (this.pending <= this.layout.slots >> 1) this.#progress.bump();
  }
}

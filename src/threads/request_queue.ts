/**
 * What the threads of a postcopy source tell each other about requested pages: the return path's worker
 * hands them to the main channel's worker, which sends them ahead of everything else (unless there is a
 * preempt channel: then the first one sends them itself), and the main thread goes on behind them.
 *
 * One producer (the return path), one consumer (the main channel), no lock, bounded.
 *
 * @module
 */
import { Progress } from "./job_ring.ts";

/** Control words; those that two threads change often have a cache line of their own. */
const Word = {
  /** How many requests were pushed; written by the producer. */
  PUSHED: 0,
  /** How many were taken; written by the consumer. */
  TAKEN: 16,
  /** Not 0 once pages may be asked for; written by the main thread. */
  OPEN: 32,
  /** How many messages asked for pages; written by the return path's worker. */
  COUNT: 33,
  /** How many pages are claimed for the preempt channel and not yet written to it. */
  BUSY: 34,
  /** Not 0 once the memory of sent pages is to be given back; written by the main thread. */
  RELEASE: 35,
  /** Not 0 once the return path's worker is to end; written by the main thread. */
  ENDED: 36,
} as const;
/** Where, in 64-bit words, the last requested page stands: block × 2^40 + page, plus one. */
const LAST = 20;
const CONTROL_BYTES = 192;

/** How many requests wait at most; a power of two. With more the return path is read no further. */
export const REQUESTS_MAX = 1024;
const SLOT_WORDS = 4;
const PAGES_PER_BLOCK = 2 ** 40;

/** The requests as they are posted to workers. */
export interface RequestQueueLayout {
  readonly buffer: SharedArrayBuffer;
  /** Is bumped when there is room again, and when all claimed pages are written. */
  readonly progress: SharedArrayBuffer;
}

/** Some pages of a block. */
export interface PageRange {
  /** The block's index. */
  readonly block: number;
  readonly first: number;
  readonly count: number;
}

/** The requests as every thread sees them; each uses its own part of the methods. */
export class RequestQueue {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #last: BigInt64Array<SharedArrayBuffer>;
  readonly #slots: Int32Array<SharedArrayBuffer>;
  readonly #progress: Progress;
  #lastSeen = 0n;

  /** @param layout What {@linkcode RequestQueue.create} made, in this or another thread. */
  constructor(readonly layout: RequestQueueLayout) {
    this.#control = new Int32Array(layout.buffer, 0, CONTROL_BYTES / 4);
    this.#last = new BigInt64Array(layout.buffer, 0, CONTROL_BYTES / 8);
    this.#slots = new Int32Array(layout.buffer, CONTROL_BYTES);
    this.#progress = new Progress(layout.progress);
  }

  /** Makes an empty queue in which nothing may be asked for yet. @param progress Is bumped. */
  static create(progress: Progress): RequestQueue {
    const buffer = new SharedArrayBuffer(CONTROL_BYTES + 4 * SLOT_WORDS * REQUESTS_MAX);
    return new RequestQueue({ buffer, progress: progress.buffer });
  }

  /** How many requests wait. */
  get pending(): number {
    return (Atomics.load(this.#control, Word.PUSHED) - Atomics.load(this.#control, Word.TAKEN)) | 0;
  }

  /** How many messages have asked for pages. */
  get count(): number {
    return Atomics.load(this.#control, Word.COUNT);
  }

  // ── main thread ───────────────────────────────────────────────────────────────────────────────

  /** From now on the destination may ask. */
  open(): void {
    Atomics.store(this.#control, Word.OPEN, 1);
  }

  /** From now on the memory of pages that are sent is given back: nobody needs them here. */
  release(): void {
    Atomics.store(this.#control, Word.RELEASE, 1);
  }

  /** Has the return path's worker read no more: it may be one that hears no message for long. */
  end(): void {
    Atomics.store(this.#control, Word.ENDED, 1);
  }

  /** The page that was asked for last, if one was since the last call. */
  takeLast(): { readonly block: number; readonly page: number } | undefined {
    const last = Atomics.load(this.#last, LAST);
    if (last === this.#lastSeen) return undefined;
    this.#lastSeen = last;
    const place = Number(last) - 1;
    return { block: Math.floor(place / PAGES_PER_BLOCK), page: place % PAGES_PER_BLOCK };
  }

  /** Whether pages are claimed that are not written yet. */
  get busy(): boolean {
    return Atomics.load(this.#control, Word.BUSY) !== 0;
  }

  // ── whoever sends pages ───────────────────────────────────────────────────────────────────────

  /** Whether the memory of pages that are sent is to be given back. */
  get releases(): boolean {
    return Atomics.load(this.#control, Word.RELEASE) !== 0;
  }

  // ── the return path ───────────────────────────────────────────────────────────────────────────

  /** Whether the destination may ask. */
  get isOpen(): boolean {
    return Atomics.load(this.#control, Word.OPEN) !== 0;
  }

  /** Whether {@linkcode RequestQueue.end} was called. */
  get isEnded(): boolean {
    return Atomics.load(this.#control, Word.ENDED) !== 0;
  }

  /** Counts a request and remembers where it was. */
  note(block: number, page: number): void {
    Atomics.add(this.#control, Word.COUNT, 1);
    Atomics.store(this.#last, LAST, BigInt(block * PAGES_PER_BLOCK + page + 1));
  }

  /** Whether there is room for a request. */
  get hasRoom(): boolean {
    return this.pending < REQUESTS_MAX;
  }

  /** Waits until there is room for a request. */
  async room(): Promise<void> {
    for (;;) {
      const seen = this.#progress.count;
      if (this.hasRoom) return;
      await this.#progress.changed(seen);
    }
  }

  /** Hands a request over; there must be room. */
  push(block: number, first: number, count: number): void {
    if (!this.hasRoom) throw new RangeError("The queue of requests is full");
    const at = (Atomics.load(this.#control, Word.PUSHED) & (REQUESTS_MAX - 1)) * SLOT_WORDS;
    this.#slots[at] = block;
    this.#slots[at + 1] = first;
    this.#slots[at + 2] = count;
    Atomics.add(this.#control, Word.PUSHED, 1);
  }

  /** Pages will be claimed: until {@linkcode RequestQueue.endClaim} there are some that are nowhere. */
  beginClaim(): void {
    Atomics.add(this.#control, Word.BUSY, 1);
  }

  /** The claimed pages are written. */
  endClaim(): void {
    Atomics.sub(this.#control, Word.BUSY, 1);
    this.#progress.bump();
  }

  // ── the main channel ──────────────────────────────────────────────────────────────────────────

  /** The next request, which is taken out; `undefined` if none waits. */
  take(): PageRange | undefined {
    if (this.pending === 0) return undefined;
    const taken = Atomics.load(this.#control, Word.TAKEN);
    const at = (taken & (REQUESTS_MAX - 1)) * SLOT_WORDS;
    const [block, first, count] = [this.#slots[at]!, this.#slots[at + 1]!, this.#slots[at + 2]!];
    Atomics.add(this.#control, Word.TAKEN, 1);
    if (this.pending >= REQUESTS_MAX - 1) this.#progress.bump();
    return { block, first, count };
  }
}

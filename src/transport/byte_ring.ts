/**
 * A bounded ring of bytes in shared memory between one writing and one reading thread. Both wait
 * without blocking their event loops.
 *
 * The first 1024 bytes are control words and the reasons of the two sides, the rest, a power of two, is the
 * ring:
 *
 * | word    | written by | meaning                                                      |
 * | ------- | ---------- | ------------------------------------------------------------ |
 * | WRITTEN | writer     | bytes written so far, modulo 2^32                            |
 * | READ    | reader     | bytes read so far, modulo 2^32                               |
 * | WRITER  | writer     | OPEN, ENDED (nothing follows), FAILED                        |
 * | READER  | reader     | OPEN, ENDED (reads no more), FAILED                          |
 * | CHANGES | both       | counts changes of the others: whoever waits waits for this   |
 *
 * Who waits looks at CHANGES first, at the other words then, and waits for CHANGES to be another than
 * it was: so no change between looking and waiting is missed.
 *
 * @module
 */

const WORDS_BYTES = 1024;
/** Where the reasons begin, and the most bytes of one. */
const WRITER_REASON = 64;
const READER_REASON = 512;
const REASON_MAX = 448;
const WRITTEN = 0;
const READ = 1;
const WRITER = 2;
const READER = 3;
const CHANGES = 4;

/** What a side of a ring is at. */
export const RingSide = { OPEN: 0, ENDED: 1, FAILED: 2 } as const;
/** One of the {@linkcode RingSide} numbers. */
export type RingSide = typeof RingSide[keyof typeof RingSide];

/** One end of a ring; each method says whose it is. */
export class ByteRing {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #mask: number;

  /**
   * Opens a ring, on either thread.
   * @param memory What {@linkcode createRing} returned.
   */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory, 0, WRITER_REASON / 4);
    this.#bytes = new Uint8Array(memory, WORDS_BYTES);
    this.#mask = this.#bytes.length - 1;
  }

  /** The writer's side. */
  get writer(): RingSide {
    return Atomics.load(this.#words, WRITER) as RingSide;
  }

  /** The reader's side. */
  get reader(): RingSide {
    return Atomics.load(this.#words, READER) as RingSide;
  }

  /** How many bytes were written and not read. */
  get length(): number {
    return (Atomics.load(this.#words, WRITTEN) - Atomics.load(this.#words, READ)) >>> 0;
  }

  /** For the reader: the bytes up to the ring's edge, empty if there are none. */
  readable(): Uint8Array {
    const at = Atomics.load(this.#words, READ) & this.#mask;
    return this.#bytes.subarray(at, at + Math.min(this.length, this.#bytes.length - at));
  }

  /** For the reader: gives `count` bytes back to the writer. */
  release(count: number): void {
    Atomics.add(this.#words, READ, count);
    this.#changed();
  }

  /** For the writer: the room up to the ring's edge, empty if there is none. */
  writable(): Uint8Array {
    const at = Atomics.load(this.#words, WRITTEN) & this.#mask;
    const room = this.#bytes.length - this.length;
    return this.#bytes.subarray(at, at + Math.min(room, this.#bytes.length - at));
  }

  /** For the writer: shows `count` bytes to the reader. */
  commit(count: number): void {
    Atomics.add(this.#words, WRITTEN, count);
    this.#changed();
  }

  /** For the writer: says how it ended; FAILED may follow ENDED, not the other way round. */
  endWriter(side: RingSide): void {
    this.#end(WRITER, side);
  }

  /** For the writer: says that it failed, and why. */
  failWriter(reason: string): void {
    this.#setReason(WRITER_REASON, reason);
    this.endWriter(RingSide.FAILED);
  }

  /** For the reader: says that it failed, and why. */
  failReader(reason: string): void {
    this.#setReason(READER_REASON, reason);
    this.endReader(RingSide.FAILED);
  }

  /** Why the writer failed, once it has; empty if it did not say. */
  get writerReason(): string {
    return this.#reason(WRITER_REASON);
  }

  /** Why the reader failed, once it has; empty if it did not say. */
  get readerReason(): string {
    return this.#reason(READER_REASON);
  }

  #setReason(at: number, reason: string): void {
    const bytes = new Uint8Array(REASON_MAX);
    new TextEncoder().encodeInto(reason, bytes);
    new Uint8Array(this.#words.buffer, at, REASON_MAX).set(bytes);
  }

  #reason(at: number): string {
    const bytes = new Uint8Array(this.#words.buffer, at, REASON_MAX).slice();
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(bytes.subarray(0, end < 0 ? REASON_MAX : end));
  }

  /** For the reader: says how it ended; FAILED may follow ENDED, not the other way round. */
  endReader(side: RingSide): void {
    this.#end(READER, side);
  }

  #end(word: number, side: RingSide): void {
    // A side's word has one writer, so nothing comes between the load and the store.
    if (side > Atomics.load(this.#words, word)) Atomics.store(this.#words, word, side);
    this.#changed();
  }

  /** For both: resolves when `condition` holds, which it looks at after each change. */
  async until(condition: () => boolean): Promise<void> {
    for (;;) {
      const seen = Atomics.load(this.#words, CHANGES);
      if (condition()) return;
      await Atomics.waitAsync(this.#words, CHANGES, seen).value;
    }
  }

  #changed(): void {
    Atomics.add(this.#words, CHANGES, 1);
    Atomics.notify(this.#words, CHANGES);
  }
}

/**
 * Makes a ring.
 * @param capacity In bytes, a power of two.
 * @returns Its memory, to be posted to the other thread.
 */
export function createRing(capacity: number): SharedArrayBuffer {
  if (capacity < 1 || (capacity & (capacity - 1)) !== 0) {
    throw new RangeError(`A ring of ${capacity} bytes: not a power of two`);
  }
  return new SharedArrayBuffer(WORDS_BYTES + capacity);
}

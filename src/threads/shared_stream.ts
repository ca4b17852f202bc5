/**
 * The incoming main channel between two threads. A worker fills the ring from its connection; the bytes
 * are consumed by the main thread (headers, commands, device state) and by that worker (page records),
 * in turns. Only the one whose turn it is moves the position, and hands the position on with the turn.
 *
 * @module
 */
import type { ByteSource } from "../wire/byte_source.ts";

/** The ring's size in bytes: a power of two, large enough to hide a thread's wake-up. */
export const SHARED_STREAM_SIZE = 4 * 1024 * 1024;

const Word = {
  /** Bytes put in, modulo 2^32; written by the filling worker. */
  HEAD: 0,
  /** Bytes consumed, modulo 2^32; written by the consumer whose turn it is. */
  TAIL: 16,
  /** 0 while there may be more, else one of {@linkcode StreamEnd}; written by the filling worker. */
  END: 32,
  /** Changes whenever one of the others does. */
  BELL: 33,
} as const;

/** How a stream ended. */
export const StreamEnd = {
  /** It has not. */
  OPEN: 0,
  /** The other side closed it in order. */
  CLOSED: 1,
  /** Reading failed; the worker's message says how. */
  FAILED: 2,
} as const;
/** One of the {@linkcode StreamEnd} numbers. */
export type StreamEnd = typeof StreamEnd[keyof typeof StreamEnd];

/** A stream as it is posted to its worker. */
export interface SharedStreamLayout {
  /** The ring's bytes; a WebAssembly memory so that kernels can decode it in place. */
  readonly memory: WebAssembly.Memory;
  readonly control: SharedArrayBuffer;
}

/** The ring as both threads see it. */
export class SharedStream implements ByteSource {
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array<ArrayBufferLike>;
  readonly window = SHARED_STREAM_SIZE;
  #position = 0;

  /** @param layout What {@linkcode SharedStream.create} made, in this or another thread. */
  constructor(readonly layout: SharedStreamLayout) {
    this.#control = new Int32Array(layout.control);
    this.#bytes = new Uint8Array(layout.memory.buffer, 0, SHARED_STREAM_SIZE);
  }

  /** Makes an empty stream. */
  static create(): SharedStream {
    // Kernels need a piece behind the ring, for what crosses its end.
    const pages = SHARED_STREAM_SIZE / 65536 + 1;
    return new SharedStream({
      memory: new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }),
      control: new SharedArrayBuffer(4 * 48),
    });
  }

  #ring(): void {
    Atomics.add(this.#control, Word.BELL, 1);
    Atomics.notify(this.#control, Word.BELL);
  }

  async #changed(seen: number): Promise<void> {
    const wait = Atomics.waitAsync(this.#control, Word.BELL, seen);
    if (wait.async) await wait.value;
  }

  /** How the stream ended, if it did; bytes may still be available. */
  get end(): StreamEnd {
    return Atomics.load(this.#control, Word.END) as StreamEnd;
  }

  // ── the filling worker ────────────────────────────────────────────────────────────────────────

  /** Free room in one piece, to be read into; empty while the ring is full. */
  room(): Uint8Array<ArrayBufferLike> {
    const head = Atomics.load(this.#control, Word.HEAD);
    const free = SHARED_STREAM_SIZE - ((head - Atomics.load(this.#control, Word.TAIL)) | 0);
    const at = head & (SHARED_STREAM_SIZE - 1);
    return this.#bytes.subarray(at, Math.min(at + free, SHARED_STREAM_SIZE));
  }

  /**
   * Waits until {@linkcode SharedStream.room} is not empty.
   * @returns `false` if the stream was abandoned: nobody will consume what would be put in.
   */
  async waitForRoom(): Promise<boolean> {
    while (this.end === StreamEnd.OPEN) {
      const seen = Atomics.load(this.#control, Word.BELL);
      if (this.room().length > 0) return true;
      if (this.end === StreamEnd.OPEN) await this.#changed(seen);
    }
    return false;
  }

  /** Says that `count` bytes of the room were filled. */
  filled(count: number): void {
    Atomics.add(this.#control, Word.HEAD, count);
    this.#ring();
  }

  /** Says that no more bytes will come. */
  finish(end: StreamEnd): void {
    Atomics.store(this.#control, Word.END, end);
    this.#ring();
  }

  /** Says, on any thread, that no more bytes will come, unless the stream has ended already. */
  abandon(): void {
    if (this.end === StreamEnd.OPEN) this.finish(StreamEnd.FAILED);
  }

  // ── whoever's turn it is to consume ───────────────────────────────────────────────────────────

  get position(): number {
    return this.#position;
  }

  /** Takes the turn: the position as the other thread left it. */
  takeTurn(position: number): void {
    this.#position = position;
  }

  /** Where the next byte lies in the ring's memory: how kernels address it. */
  get ringOffset(): number {
    return Atomics.load(this.#control, Word.TAIL) & (SHARED_STREAM_SIZE - 1);
  }

  get available(): number {
    return (Atomics.load(this.#control, Word.HEAD) - Atomics.load(this.#control, Word.TAIL)) | 0;
  }

  async wait(count: number): Promise<number> {
    while (this.available < count) {
      const seen = Atomics.load(this.#control, Word.BELL);
      if (this.available >= count || this.end !== StreamEnd.OPEN) break;
      await this.#changed(seen);
    }
    return this.available;
  }

  peek(into: Uint8Array, skip = 0): void {
    const from = (this.ringOffset + skip) & (SHARED_STREAM_SIZE - 1);
    const first = Math.min(into.length, SHARED_STREAM_SIZE - from);
    into.set(this.#bytes.subarray(from, from + first));
    if (first < into.length) into.set(this.#bytes.subarray(0, into.length - first), first);
  }

  consume(count: number): void {
    this.#position += count;
    Atomics.add(this.#control, Word.TAIL, count);
    this.#ring();
  }
}

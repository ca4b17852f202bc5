/**
 * Where a {@linkcode ByteReader} gets its bytes: a window that can be waited for, looked at and moved.
 *
 * Looking is apart from consuming because two threads take turns on the main channel: the main thread
 * reads headers and device state, a worker reads page records, and whoever stops must leave the
 * next byte for the other.
 *
 * @module
 */

/** A stream of bytes with a bounded window of those that have arrived. */
export interface ByteSource {
  /** Offset in the stream of the next byte, in bytes. */
  readonly position: number;
  /** How many bytes can be looked at now. */
  readonly available: number;
  /**
   * Waits for bytes.
   * @param count How many are wanted; at most {@linkcode ByteSource.window}.
   * @returns How many are available then: fewer than `count` only when the stream has ended.
   */
  wait(count: number): Promise<number>;
  /** The most bytes that can be available at once. */
  readonly window: number;
  /**
   * Copies available bytes without consuming them.
   * @param into Where to; its length says how many, and they must be available.
   * @param skip How many bytes after the position to begin.
   */
  peek(into: Uint8Array, skip?: number): void;
  /** Moves the position past `count` available bytes. */
  consume(count: number): void;
}

/** A {@linkcode ByteSource} over bytes in memory. */
export class MemorySource implements ByteSource {
  #at = 0;
  readonly window: number;

  /**
   * @param bytes The whole stream.
   * @param base The offset its first byte has in an outer stream.
   */
  constructor(private readonly bytes: Uint8Array, private readonly base = 0) {
    this.window = bytes.length;
  }

  get position(): number {
    return this.base + this.#at;
  }

  get available(): number {
    return this.bytes.length - this.#at;
  }

  wait(_count: number): Promise<number> {
    return Promise.resolve(this.available);
  }

  peek(into: Uint8Array, skip = 0): void {
    const from = this.#at + skip;
    into.set(this.bytes.subarray(from, from + into.length));
  }

  consume(count: number): void {
    this.#at += count;
  }
}

/**
 * A stream that arrives in given pieces, for tests that a decoder can be interrupted anywhere. It gives
 * only what it was waited for, and it throws if a decoder looks at bytes that have not arrived.
 *
 * @module
 */
import { ByteReader } from "../../src/wire/byte_reader.ts";
import type { ByteSource } from "../../src/wire/byte_source.ts";

/** Bytes that arrive piece by piece. */
export class SplitFeed implements ByteSource {
  readonly #bytes: Uint8Array;
  readonly #sizes: Iterator<number>;
  #position = 0;
  #arrived = 0;
  readonly window: number;

  /**
   * @param bytes The whole stream.
   * @param sizes How large the pieces are; what they leave arrives in one piece at the end.
   * @param window The most bytes that can be available at once. @default {64 KiB}
   */
  constructor(bytes: Uint8Array, sizes: Iterable<number>, window = 65536) {
    this.#bytes = bytes;
    this.#sizes = sizes[Symbol.iterator]();
    this.window = window;
  }

  get position(): number {
    return this.#position;
  }

  get available(): number {
    return this.#arrived - this.#position;
  }

  async wait(count: number): Promise<number> {
    if (count > this.window) {
      throw new RangeError(`Waiting for ${count} bytes in a window of ${this.window}`);
    }
    while (this.available < count && this.#arrived < this.#bytes.length) {
      // Bytes never arrive at once: whoever waits gives others a turn.
      await Promise.resolve();
      const size = this.#sizes.next().value ?? this.#bytes.length;
      const room = this.#position + this.window - this.#arrived;
      this.#arrived += Math.min(Math.max(1, size), room, this.#bytes.length - this.#arrived);
    }
    return this.available;
  }

  peek(into: Uint8Array, skip = 0): void {
    const from = this.#position + skip;
    if (from + into.length > this.#arrived) {
      throw new RangeError(
        `Looking at bytes ${from} to ${from + into.length}: ${this.#arrived} have arrived`,
      );
    }
    into.set(this.#bytes.subarray(from, from + into.length));
  }

  consume(count: number): void {
    if (count > this.available) {
      throw new RangeError(`Consuming ${count} bytes: ${this.available} have arrived`);
    }
    this.#position += count;
  }
}

/** A reader of a stream whose bytes arrive one by one. */
export function byteByByte(bytes: Uint8Array): ByteReader {
  return new ByteReader(new SplitFeed(bytes, bytes.map(() => 1)));
}

/** Readers of a stream that arrives in two pieces, one reader for every place it can be cut. */
export function* everySplit(bytes: Uint8Array): Generator<{ cut: number; reader: ByteReader }> {
  for (let cut = 0; cut <= bytes.length; cut++) {
    yield { cut, reader: new ByteReader(new SplitFeed(bytes, cut === 0 ? [] : [cut])) };
  }
}

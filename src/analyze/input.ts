/**
 * QEMU's primitives from a file, a pipe or memory, without waiting for anybody: what analyzes a stream
 * has nothing else to do. The window is small enough to stay in the processor's cache, which is what
 * makes reading a large image fast.
 *
 * @module
 */
import { ConnectionLostError, StreamFormatError } from "../errors.ts";
import type { ReadableBytes } from "../transport/sync_file.ts";
import { decodeText } from "../wire/byte_reader.ts";

/** How much is read in one go, in bytes. */
const WINDOW_SIZE = 128 * 1024;

/** Decodes the stream's primitives; every method but the peeking ones consumes what it returns. */
export class StreamInput {
  /** The bytes that are here; {@linkcode at} is the next one's index. */
  readonly bytes: Uint8Array;
  /** The same for numbers. */
  readonly view: DataView;
  /** Index of the next byte. */
  at = 0;
  /** Index after the last byte that is here. */
  end = 0;
  /** Offset in the stream of the byte at index 0. */
  #base: number;
  /** Whether all bytes are here from the beginning. */
  #whole = false;

  /**
   * @param source Where bytes come from.
   * @param start Where to begin, in bytes.
   * @param bytes The window.
   */
  constructor(
    readonly source: ReadableBytes,
    start = 0,
    bytes: Uint8Array = new Uint8Array(WINDOW_SIZE),
  ) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#base = start;
  }

  /**
   * Reads bytes in memory.
   * @param bytes All of them.
   * @param base The offset of the first one in an outer stream.
   */
  static of(bytes: Uint8Array, base = 0): StreamInput {
    const input = new StreamInput({ name: "memory", size: undefined, read: () => 0 }, base, bytes);
    input.end = bytes.length;
    input.#whole = true;
    return input;
  }

  /** Offset in the stream of the next byte. */
  get position(): number {
    return this.#base + this.at;
  }

  /**
   * Tries to have bytes here.
   * @param count How many, at most half a window.
   * @returns Whether they are; if not, the stream ends before.
   */
  has(count: number): boolean {
    if (this.end - this.at >= count) return true;
    this.#fill(count);
    return this.end - this.at >= count;
  }

  #fill(count: number): void {
    if (this.#whole) return;
    if (this.at > 0) {
      this.bytes.copyWithin(0, this.at, this.end);
      this.#base += this.at;
      this.end -= this.at;
      this.at = 0;
    }
    while (this.end < count) {
      const into = this.bytes.subarray(this.end);
      const got = this.source.read(into, this.#base + this.end);
      if (got === 0) return;
      this.end += got;
    }
  }

  /** Has `count` bytes here, or throws that the stream ended in `what`. */
  need(count: number, what: string): void {
    if (!this.has(count)) this.#ended(what, this.end - this.at, count);
  }

  #ended(what: string, available: number, count: number): never {
    throw new ConnectionLostError(
      `The stream ended inside ${what}: ${available} of ${count} bytes`,
      { place: { offset: this.position } },
    );
  }

  /** One byte. @param what The value's name. */
  u8(what: string): number {
    if (this.end === this.at) this.need(1, what);
    return this.bytes[this.at++]!;
  }

  /** Two bytes. @param what The value's name. */
  be16(what: string): number {
    this.need(2, what);
    this.at += 2;
    return this.view.getUint16(this.at - 2);
  }

  /** Four bytes. @param what The value's name. */
  be32(what: string): number {
    this.need(4, what);
    this.at += 4;
    return this.view.getUint32(this.at - 4);
  }

  /** Eight bytes. @param what The value's name. */
  be64(what: string): bigint {
    this.need(8, what);
    this.at += 8;
    return this.view.getBigUint64(this.at - 8);
  }

  /**
   * Eight bytes as a number.
   * @param what The value's name.
   * @throws {StreamFormatError} If the value needs more than 53 bits.
   */
  size64(what: string): number {
    const offset = this.position;
    const value = this.be64(what);
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    throw new StreamFormatError(`${value} bytes are absurd: ${what}`, { place: { offset } });
  }

  /** A counted string. @param what The value's name. */
  countedString(what: string): string {
    const offset = this.position;
    const length = this.u8(what);
    return decodeText(this.take(length, 255, what), what, offset);
  }

  /**
   * Raw bytes, in memory of their own.
   * @param count How many.
   * @param cap The most the caller will hold.
   * @param what The value's name.
   * @throws {StreamFormatError} If `count` is above `cap`; nothing was allocated then.
   */
  take(count: number, cap: number, what: string): Uint8Array<ArrayBuffer> {
    if (count > cap) {
      throw new StreamFormatError(`${count} bytes are more than the ${cap} allowed: ${what}`, {
        place: { offset: this.position },
      });
    }
    if (count <= this.end - this.at) {
      this.at += count;
      return this.bytes.slice(this.at - count, this.at) as Uint8Array<ArrayBuffer>;
    }
    const size = this.source.size;
    if (size !== undefined && count > size - this.position) {
      this.#ended(what, Math.max(0, size - this.position), count);
    }
    return this.#gather(count, what);
  }

  /** Memory grows with what comes, not with what is claimed. */
  #gather(count: number, what: string): Uint8Array<ArrayBuffer> {
    const start = this.position;
    let taken = new Uint8Array(Math.min(count, WINDOW_SIZE));
    for (let filled = 0; filled < count;) {
      if (!this.has(1)) {
        throw new ConnectionLostError(
          `The stream ended inside ${what}: ${filled} of ${count} bytes`,
          { place: { offset: start } },
        );
      }
      const part = Math.min(this.end - this.at, count - filled);
      if (filled + part > taken.length) {
        const larger = new Uint8Array(Math.min(count, Math.max(filled + part, 2 * taken.length)));
        larger.set(taken.subarray(0, filled));
        taken = larger;
      }
      taken.set(this.bytes.subarray(this.at, this.at + part), filled);
      this.at += part;
      filled += part;
    }
    return taken;
  }

  /**
   * Passes over bytes, which are not read where that saves time.
   * @param count How many.
   * @param what The value's name.
   */
  skip(count: number, what: string): void {
    const { size } = this.source;
    if (size !== undefined) {
      const ahead = size - this.position;
      if (count > ahead) this.#ended(what, Math.max(0, ahead), count);
      // To go on reading is faster than to go to another place that is near.
      if (count - (this.end - this.at) > WINDOW_SIZE) {
        this.#base = this.position + count;
        this.at = this.end = 0;
        return;
      }
    }
    for (let left = count; left > 0;) {
      if (!this.has(1)) this.#ended(what, count - left, count);
      const part = Math.min(this.end - this.at, left);
      this.at += part;
      left -= part;
    }
  }

  /** The byte `ahead` of the next one, or `undefined` if the stream ends before. */
  peek(ahead = 0): number | undefined {
    return this.has(ahead + 1) ? this.bytes[this.at + ahead] : undefined;
  }
}

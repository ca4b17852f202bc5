/**
 * Reads QEMU's primitives from a {@linkcode ByteSource}: big-endian integers, counted strings, raw
 * bytes. The end of the stream inside a value is an error that names the value and its offset; a
 * length is checked against the caller's cap before anything is allocated.
 *
 * @module
 */
import { ConnectionLostError, StreamFormatError } from "../errors.ts";
import { type ByteSource, MemorySource } from "./byte_source.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Decodes the stream's primitives; every method consumes what it returns. */
export class ByteReader {
  readonly #scratch = new Uint8Array(8);
  readonly #view = new DataView(this.#scratch.buffer);

  /** Reads from a source. @param source Where the bytes come from. */
  constructor(readonly source: ByteSource) {}

  /**
   * Reads from bytes that are all there.
   * @param bytes The stream.
   * @param base The offset of its first byte in an outer stream, for messages.
   */
  static of(bytes: Uint8Array, base = 0): ByteReader {
    return new ByteReader(new MemorySource(bytes, base));
  }

  /** Offset in the stream of the next byte. */
  get position(): number {
    return this.source.position;
  }

  /** Whether the stream has no further byte; waits until that is known. */
  async atEnd(): Promise<boolean> {
    return this.source.available === 0 && await this.source.wait(1) === 0;
  }

  /** Waits until `count` bytes are available, or throws that the stream ended in `what`. */
  async need(count: number, what: string): Promise<void> {
    if (this.source.available >= count) return;
    const available = await this.source.wait(count);
    if (available < count) this.#ended(what, available, count);
  }

  #ended(what: string, available: number, count: number): never {
    throw new ConnectionLostError(
      `The stream ended inside ${what}: ${available} of ${count} bytes`,
      { place: { offset: this.position } },
    );
  }

  async #take(count: number, what: string): Promise<DataView> {
    if (this.source.available < count) await this.need(count, what);
    this.source.peek(count === 8 ? this.#scratch : this.#scratch.subarray(0, count));
    this.source.consume(count);
    return this.#view;
  }

  /** One byte. @param what The value's name, for the message if the stream ends in it. */
  async u8(what: string): Promise<number> {
    return (await this.#take(1, what)).getUint8(0);
  }

  /** Two bytes, big-endian, unsigned. @param what The value's name. */
  async be16(what: string): Promise<number> {
    return (await this.#take(2, what)).getUint16(0);
  }

  /** Four bytes, big-endian, unsigned. @param what The value's name. */
  async be32(what: string): Promise<number> {
    return (await this.#take(4, what)).getUint32(0);
  }

  /** Eight bytes, big-endian, unsigned. @param what The value's name. */
  async be64(what: string): Promise<bigint> {
    return (await this.#take(8, what)).getBigUint64(0);
  }

  /**
   * Eight bytes, big-endian, as a number: for sizes and offsets, which fit 53 bits wherever they are true.
   * @param what The value's name.
   * @throws {StreamFormatError} If the value needs more than 53 bits.
   */
  async size64(what: string): Promise<number> {
    const offset = this.position;
    const value = await this.be64(what);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new StreamFormatError(`${capitalized(what)} of ${value} bytes is absurd`, {
        place: { offset },
      });
    }
    return Number(value);
  }

  /**
   * Raw bytes, in memory of their own.
   * @param count How many.
   * @param cap The most the caller will hold.
   * @param what The value's name.
   * @throws {StreamFormatError} If `count` is above `cap`; nothing was allocated then.
   */
  async bytes(count: number, cap: number, what: string): Promise<Uint8Array<ArrayBuffer>> {
    if (count > cap) {
      throw new StreamFormatError(
        `${capitalized(what)} of ${count} bytes: at most ${cap} are allowed`,
        { place: { offset: this.position } },
      );
    }
    const bytes = new Uint8Array(count);
    await this.readInto(bytes, what);
    return bytes;
  }

  /** Fills `into`. @param into Where the bytes go. @param what The value's name. */
  async readInto(into: Uint8Array, what: string): Promise<void> {
    let filled = 0;
    while (filled < into.length) {
      if (await this.atEnd()) this.#ended(what, filled, into.length);
      const part = Math.min(this.source.available, into.length - filled);
      this.source.peek(into.subarray(filled, filled + part));
      this.source.consume(part);
      filled += part;
    }
  }

  /** Passes over bytes. @param count How many. @param what The value's name. */
  async skip(count: number, what: string): Promise<void> {
    let left = count;
    while (left > 0) {
      if (await this.atEnd()) this.#ended(what, count - left, count);
      const part = Math.min(this.source.available, left);
      this.source.consume(part);
      left -= part;
    }
  }

  /**
   * A counted string: one byte of length, then UTF-8.
   * @param what The value's name.
   * @throws {StreamFormatError} If it is not UTF-8.
   */
  async countedString(what: string): Promise<string> {
    const offset = this.position;
    const length = await this.u8(what);
    return decodeText(await this.bytes(length, 255, what), what, offset);
  }

  /** The next byte without consuming it, or `undefined` at the end of the stream. */
  async peekU8(): Promise<number | undefined> {
    if (await this.atEnd()) return undefined;
    const one = this.#scratch.subarray(0, 1);
    this.source.peek(one);
    return one[0];
  }
}

/**
 * Decodes a name that came over the wire.
 * @param bytes UTF-8 without terminator.
 * @param what The value's name, for the message.
 * @param offset Where it stands in the stream.
 * @throws {StreamFormatError} If the bytes are not UTF-8.
 */
export function decodeText(bytes: Uint8Array, what: string, offset: number): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new StreamFormatError(`${capitalized(what)} is not text`, { place: { offset }, cause });
  }
}

/** As the beginning of a sentence; a path such as `players.names[1]` stays as it is. */
function capitalized(what: string): string {
  return /^\w+(\s|$)/.test(what) ? what.charAt(0).toUpperCase() + what.slice(1) : what;
}

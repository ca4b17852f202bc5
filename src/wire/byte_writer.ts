/**
 * Builds the stream's small parts: headers, commands, device state. Page bytes never pass here.
 *
 * @module
 */

const utf8 = new TextEncoder();

/** A growing buffer with QEMU's primitives. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #length = 0;

  /** Begins empty. @param capacity How many bytes to make room for at first. */
  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** How many bytes were written since the last {@linkcode ByteWriter.take}. */
  get length(): number {
    return this.#length;
  }

  #grow(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  /** One byte. */
  u8(value: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }

  /** Two bytes, big-endian. */
  be16(value: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, value);
    return this;
  }

  /** Four bytes, big-endian. */
  be32(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value);
    return this;
  }

  /** Eight bytes, big-endian; a number must be a safe integer. */
  be64(value: bigint | number): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)));
    return this;
  }

  /** Raw bytes. */
  bytes(value: Uint8Array): this {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** `count` zero bytes. */
  zeros(count: number): this {
    const at = this.#grow(count);
    this.#bytes.fill(0, at, at + count);
    return this;
  }

  /**
   * A counted string: one byte of length, then UTF-8.
   * @throws {RangeError} If the text needs more than 255 bytes.
   */
  countedString(text: string): this {
    const encoded = utf8.encode(text);
    if (encoded.length > 255) throw new RangeError(`Name longer than 255 bytes: ${text}`);
    return this.u8(encoded.length).bytes(encoded);
  }

  /**
   * Overwrites four bytes written earlier, for a length that is known only afterwards.
   * @param at Offset from the start of what has not been taken.
   */
  patchBe32(at: number, value: number): this {
    this.#view.setUint32(at, value);
    return this;
  }

  /** A copy of what was written, without forgetting it. */
  copy(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  /** What was written since the last call; the writer is empty afterwards. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.copy();
    this.#length = 0;
    return taken;
  }
}

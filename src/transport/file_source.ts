/**
 * A {@linkcode ByteSource} over a file, with what only files can: the position can be moved anywhere.
 *
 * @module
 */
import type { FileChannel } from "./file_channel.ts";
import type { ByteSource } from "../wire/byte_source.ts";

/** Reads a file through a window. */
export class FileSource implements ByteSource {
  /** The window's bytes. */
  readonly view: DataView<ArrayBuffer>;
  /** Where in the window the next byte stands. */
  begin = 0;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #end = 0;
  /** Where in the stream the window begins. */
  #windowStart = 0;

  /**
   * Begins at the stream's first byte.
   * @param file The file.
   * @param offset Where in it the stream begins, in bytes.
   * @param window How much is read at once, in bytes.
   */
  constructor(
    private readonly file: FileChannel,
    private readonly offset: number,
    readonly window: number = 1 << 20,
  ) {
    this.#bytes = new Uint8Array(window);
    this.view = new DataView(this.#bytes.buffer);
  }

  get position(): number {
    return this.#windowStart + this.begin;
  }

  /** Moves to an offset in the stream. */
  seek(position: number): void {
    if (position >= this.#windowStart && position <= this.#windowStart + this.#end) {
      this.begin = position - this.#windowStart;
      return;
    }
    this.#windowStart = position;
    this.begin = this.#end = 0;
  }

  get available(): number {
    return this.#end - this.begin;
  }

  /** As {@linkcode FileSource.wait}, at once. */
  fill(count: number): number {
    if (count > this.window) {
      throw new RangeError(`A wait for ${count} bytes in a window of ${this.window}`);
    }
    if (this.available >= count) return this.available;
    this.#bytes.copyWithin(0, this.begin, this.#end);
    this.#windowStart += this.begin;
    this.#end -= this.begin;
    this.begin = 0;
    const room = this.window - this.#end;
    const from = this.offset + this.#windowStart + this.#end;
    this.#end += this.file.readNow(this.#bytes, this.#end, room, from);
    return this.available;
  }

  wait(count: number): Promise<number> {
    return Promise.try(() => this.fill(count));
  }

  peek(into: Uint8Array, skip = 0): void {
    const from = this.begin + skip;
    if (from + into.length > this.#end) throw new RangeError("A peek at bytes that are not there");
    into.set(this.#bytes.subarray(from, from + into.length));
  }

  consume(count: number): void {
    if (count > this.available) throw new RangeError("More bytes consumed than are there");
    this.begin += count;
  }
}

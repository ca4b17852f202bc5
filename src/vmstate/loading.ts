/**
 * What loading carries from field to field.
 *
 * @module
 */
import { IncompatibleError, MigrationError, StreamFormatError } from "../errors.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import { FieldPath } from "./field_path.ts";
import { messageOf } from "./saving.ts";

/** The reader and the place in the state. */
export class Loading {
  /** Where in the state it is. */
  readonly path: FieldPath = new FieldPath();
  readonly #scratch = new Uint8Array(8);
  readonly #view = new DataView(this.#scratch.buffer);
  readonly #parts = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((size) => this.#scratch.subarray(0, size));

  /** @param reader Where the bytes come from. */
  constructor(readonly reader: ByteReader) {}

  /** Whether that many bytes can be taken without waiting. */
  ready(size: number): boolean {
    return this.reader.source.available >= size;
  }

  /** Waits until that many bytes, at most 8, can be taken. */
  need(size: number): Promise<void> {
    return this.reader.need(size, this.path.toString());
  }

  /** The next byte, which is {@linkcode Loading.ready}; it stays. */
  peek(): number {
    this.reader.source.peek(this.#parts[1]!);
    return this.#scratch[0]!;
  }

  /** Takes up to 8 bytes that are {@linkcode Loading.ready}; they are at the view's start. */
  take(size: number): DataView {
    const { source } = this.reader;
    source.peek(this.#parts[size]!);
    source.consume(size);
    return this.#view;
  }

  /** Fills `into`; gives a promise only if it has to wait. */
  fill(into: Uint8Array): void | Promise<void> {
    const { source } = this.reader;
    if (source.available < into.length) return this.reader.readInto(into, this.path.toString());
    source.peek(into);
    source.consume(into.length);
  }

  /** Passes over bytes; gives a promise only if it has to wait. */
  skip(count: number): void | Promise<void> {
    const { source } = this.reader;
    if (source.available < count) return this.reader.skip(count, this.path.toString());
    source.consume(count);
  }

  /** The stream says what cannot be. */
  formatError(what: string, offset = this.reader.position): StreamFormatError {
    return new StreamFormatError(`${this.path} ${what}`, { place: { offset } });
  }

  /** The stream is of a machine that does not fit this one. */
  incompatible(what: string, offset: number, advice?: string): IncompatibleError {
    return new IncompatibleError(`${this.path} ${what}`, {
      place: { offset },
      ...(advice === undefined ? {} : { advice }),
    });
  }

  /** An instance that is not what its description says: no fault of the stream. */
  typeError(what: string): TypeError {
    return new TypeError(`${this.path} ${what}`);
  }

  /** What a hook or a codec threw, with the place and as something the caller can react to. */
  failed(what: string, thrown: unknown): MigrationError {
    if (thrown instanceof MigrationError) return thrown.at({ offset: this.reader.position });
    return new MigrationError(`${this.path}${what} failed: ${messageOf(thrown)}`, {
      cause: thrown,
      place: { offset: this.reader.position },
    });
  }
}

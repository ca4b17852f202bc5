/**
 * Compressing and decompressing on the handles of `os/zlib_handle.ts`: synchronously, from and into
 * shared memory in place. The twin without them is `stream_codec.ts`.
 *
 * @module
 */
import { ZlibHandle } from "../os/zlib_handle.ts";
import type { CodecMethod, Compressor, Decompressor, Span } from "./codec.ts";
import { damaged, tooLong, tooShort } from "./codec.ts";

/** A compressor that returns at once. */
export class HandleCompressor implements Compressor {
  readonly #handle: ZlibHandle;

  /** @param level How hard it tries. */
  constructor(method: CodecMethod, level: number) {
    this.#handle = new ZlibHandle(method === "zlib" ? "deflate" : "zstd-compress", level);
  }

  compress(input: Span, output: Span): number {
    const handle = this.#handle;
    handle.run("flush", ...rest(input, 0), ...rest(output, 0));
    // With room left over, all is flushed; without, there may be more.
    if (handle.outputLeft === 0 || handle.inputLeft > 0) {
      throw new RangeError(`${input.length} bytes compress to more than ${output.length}`);
    }
    return output.length - handle.outputLeft;
  }

  close(): void {
    this.#handle.close();
  }
}

/** A decompressor that returns at once. */
export class HandleDecompressor implements Decompressor {
  readonly #handle: ZlibHandle;
  #payload: Span = { bytes: new Uint8Array(0), at: 0, length: 0 };
  #consumed = 0;
  /** Where more than there may be would go. */
  readonly #surplus: Span = { bytes: new Uint8Array(64), at: 0, length: 64 };

  /** @param method Which. */
  constructor(private readonly method: CodecMethod) {
    this.#handle = new ZlibHandle(method === "zlib" ? "inflate" : "zstd-decompress");
  }

  begin(payload: Span): void {
    this.#payload = payload;
    this.#consumed = 0;
  }

  take(target: Span): void {
    for (let filled = 0; filled < target.length;) {
      const got = this.#run(target, filled);
      if (got === 0) throw tooShort(target.length - filled);
      filled += got;
    }
  }

  end(): void {
    // What is left is the flush's mark, which expands to nothing.
    if (this.#run(this.#surplus, 0) > 0 || this.#consumed < this.#payload.length) throw tooLong();
  }

  close(): void {
    this.#handle.close();
  }

  /** One call; returns how many bytes it gave. */
  #run(target: Span, filled: number): number {
    const handle = this.#handle;
    try {
      handle.run("flush", ...rest(this.#payload, this.#consumed), ...rest(target, filled));
    } catch (cause) {
      throw damaged(this.method, cause);
    }
    this.#consumed = this.#payload.length - handle.inputLeft;
    return target.length - filled - handle.outputLeft;
  }
}

/** The rest of a span as the handle takes it. */
function rest(span: Span, from: number): [Uint8Array, number, number] {
  return [span.bytes, span.at + from, span.length - from];
}

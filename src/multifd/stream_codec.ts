/**
 * Compressing and decompressing with nothing but the public streams of `node:zlib`: what takes the place
 * of the handles in `os/zlib_handle.ts` where an internal of Deno is not wanted. Slower, because
 * every packet passes through the event loop and is copied once more.
 *
 * @module
 */
import { constants } from "node:zlib";
import { createStream, type ZlibKind } from "../os/zlib_handle.ts";
import type { CodecMethod, Compressor, Decompressor, Span } from "./codec.ts";
import { damaged, tooLong, tooShort } from "./codec.ts";

/** A `node:zlib` stream, written to and flushed once a packet. */
class PacketStream {
  readonly #stream: ReturnType<typeof createStream>;
  readonly #flush: number;
  #failure: Error | undefined;
  #fail: ((error: Error) => void) | undefined;
  #onData: (chunk: Uint8Array) => void = () => {};

  constructor(kind: ZlibKind, level: number) {
    this.#stream = createStream(kind, level);
    this.#flush = kind.startsWith("zstd") ? constants.ZSTD_e_flush : constants.Z_SYNC_FLUSH;
    this.#stream.on("data", (chunk: Uint8Array) => this.#onData(chunk));
    this.#stream.on("error", (error: Error) => {
      this.#failure = error;
      this.#fail?.(error);
    });
  }

  /** Puts a packet in; `take` gets what comes out, and returns whether it wants more. */
  async pass(input: Span, take: (chunk: Uint8Array) => boolean): Promise<void> {
    if (this.#failure) throw this.#failure;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#fail = reject;
    this.#onData = (chunk) => {
      if (take(chunk)) return;
      this.#onData = () => {};
      this.#stream.pause();
      resolve();
    };
    this.#stream.write(input.bytes.slice(input.at, input.at + input.length));
    this.#stream.flush(this.#flush, () => resolve());
    await promise;
    this.#fail = undefined;
  }

  close(): void {
    this.#stream.destroy();
  }
}

/** The twin of the compressor on a handle. */
export class StreamCompressor implements Compressor {
  readonly #stream: PacketStream;

  /** @param level How hard it tries. */
  constructor(method: CodecMethod, level: number) {
    this.#stream = new PacketStream(method === "zlib" ? "deflate" : "zstd-compress", level);
  }

  async compress(input: Span, output: Span): Promise<number> {
    let length = 0;
    await this.#stream.pass(input, (chunk) => {
      if (length + chunk.length <= output.length) output.bytes.set(chunk, output.at + length);
      length += chunk.length;
      return true;
    });
    if (length > output.length) {
      throw new RangeError(`${input.length} bytes compress to more than ${output.length}`);
    }
    return length;
  }

  close(): void {
    this.#stream.close();
  }
}

/** The twin of the decompressor on a handle. */
export class StreamDecompressor implements Decompressor {
  readonly #stream: PacketStream;
  #pages = new Uint8Array(0);
  #filled = 0;
  #taken = 0;

  /** @param method Which. */
  constructor(private readonly method: CodecMethod) {
    this.#stream = new PacketStream(method === "zlib" ? "inflate" : "zstd-decompress", 0);
  }

  async begin(payload: Span, expected: number): Promise<void> {
    if (this.#pages.length < expected) this.#pages = new Uint8Array(expected);
    this.#filled = this.#taken = 0;
    let surplus = false;
    try {
      await this.#stream.pass(payload, (chunk) => {
        surplus = this.#filled + chunk.length > expected;
        if (surplus) return false;
        this.#pages.set(chunk, this.#filled);
        this.#filled += chunk.length;
        return true;
      });
    } catch (cause) {
      throw damaged(this.method, cause);
    }
    if (surplus) throw tooLong();
  }

  take(target: Span): void {
    const missing = target.length - (this.#filled - this.#taken);
    if (missing > 0) throw tooShort(missing);
    target.bytes.set(this.#pages.subarray(this.#taken, this.#taken + target.length), target.at);
    this.#taken += target.length;
  }

  end(): void {
    if (this.#taken < this.#filled) throw tooLong();
  }

  close(): void {
    this.#stream.close();
  }
}

/**
 * The internals of Deno that compression leans on, all of them: the `_handle` under a `node:zlib` stream
 * with `writeSync()` and `onerror`, and the stream's `_writeState`, where that call leaves its results.
 * Node's own library has the same. They compress synchronously from and into shared memory at any offset,
 * and the stream behind them keeps its state from call to call. The twin that needs none of them is
 * `multifd/stream_codec.ts`.
 *
 * @module
 */
import zlib from "node:zlib";

/** What a stream does. */
export type ZlibKind = "deflate" | "inflate" | "zstd-compress" | "zstd-decompress";

/** How far a call goes. */
export type ZlibFlush = "no" | "flush";

interface Internals {
  readonly _handle: {
    writeSync(
      flush: number,
      input: Uint8Array,
      inputAt: number,
      inputLength: number,
      output: Uint8Array,
      outputAt: number,
      outputLength: number,
    ): void;
    onerror: (message: string, errno: number) => void;
  };
  /** What is left of the output and of the input. */
  readonly _writeState: Uint32Array;
  close(): void;
}

const { constants } = zlib;
const FLUSHES: Readonly<Record<ZlibKind, Readonly<Record<ZlibFlush, number>>>> = {
  deflate: { no: constants.Z_NO_FLUSH, flush: constants.Z_SYNC_FLUSH },
  inflate: { no: constants.Z_NO_FLUSH, flush: constants.Z_SYNC_FLUSH },
  "zstd-compress": { no: constants.ZSTD_e_continue, flush: constants.ZSTD_e_flush },
  "zstd-decompress": { no: constants.ZSTD_e_continue, flush: constants.ZSTD_e_flush },
};

/**
 * The most a zstd stream may look back: 2^25 bytes, what the hardest level that QEMU offers (20) uses. A
 * stream says itself what it needs, and gets that much memory.
 */
const ZSTD_WINDOW_LOG_MAX = 25;

/** One compressing or decompressing stream. */
export class ZlibHandle {
  readonly #stream: Internals;
  readonly #flushes: Readonly<Record<ZlibFlush, number>>;
  #error: string | undefined;
  /** How many bytes of the last call's input were not consumed. */
  inputLeft = 0;
  /** How many bytes of the last call's output were not filled. */
  outputLeft = 0;

  /**
   * @param kind What it does.
   * @param level How hard a compressing one tries.
   * @throws {TypeError} If this version of Deno has no such handle.
   */
  constructor(kind: ZlibKind, level = 1) {
    const stream: unknown = createStream(kind, level);
    if (!hasInternals(stream)) {
      throw new TypeError("This version of Deno keeps the handles under node:zlib to itself");
    }
    this.#stream = stream;
    this.#flushes = FLUSHES[kind];
    stream._handle.onerror = (message) => this.#error = message;
  }

  /**
   * Takes what it can of the input and fills what it can of the output.
   * {@linkcode ZlibHandle.inputLeft} and {@linkcode ZlibHandle.outputLeft} say how far it came.
   * @throws {Error} If the input is not what it should be; the stream is of no use then.
   */
  run(
    flush: ZlibFlush,
    input: Uint8Array,
    inputAt: number,
    inputLength: number,
    output: Uint8Array,
    outputAt: number,
    outputLength: number,
  ): void {
    const { _handle: handle, _writeState: state } = this.#stream;
    const mode = this.#flushes[flush];
    handle.writeSync(mode, input, inputAt, inputLength, output, outputAt, outputLength);
    if (this.#error !== undefined) throw new Error(this.#error);
    this.outputLeft = state[0]!;
    this.inputLeft = state[1]!;
  }

  /** Frees the stream. */
  close(): void {
    this.#stream.close();
  }
}

/** Makes the `node:zlib` stream of a kind. @param level How hard a compressing one tries. */
export function createStream(kind: ZlibKind, level: number) {
  switch (kind) {
    case "deflate":
      return zlib.createDeflate({ level });
    case "inflate":
      return zlib.createInflate();
    case "zstd-compress":
      return zlib.createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: level } });
    case "zstd-decompress":
      return zlib.createZstdDecompress({
        params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX },
      });
  }
}

function hasInternals(stream: unknown): stream is Internals {
  const { _handle: handle, _writeState: state } = stream as Partial<Internals>;
  return typeof handle?.writeSync === "function" && state instanceof Uint32Array &&
    state.length === 2;
}

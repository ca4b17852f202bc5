/**
 * One channel's compressing or decompressing stream (wire-format §6.3; QEMU `migration/multifd-zlib.c`,
 * `multifd-zstd.c`): it lasts as long as the channel, and every packet ends with a flush.
 *
 * A packet is compressed in one call, from a private copy: the guest may write its page meanwhile.
 * QEMU goes page by page, which is the same stream of bytes to whoever decompresses it, and slower.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import type { MultifdMethod } from "./method.ts";

/** A method that compresses. */
export type CodecMethod = Exclude<MultifdMethod, "none">;

/** A piece of memory. */
export interface Span {
  readonly bytes: Uint8Array;
  /** Where it begins. */
  readonly at: number;
  readonly length: number;
}

/** Compresses the packets of one channel. */
export interface Compressor {
  /**
   * Compresses a packet's pages and flushes.
   * @param input The pages, side by side; nobody else writes them.
   * @param output Where the payload goes.
   * @returns The payload's length.
   * @throws {RangeError} If the output is too small.
   */
  compress(input: Span, output: Span): number | Promise<number>;
  /** Frees the stream. */
  close(): void;
}

/** Decompresses the packets of one channel. */
export interface Decompressor {
  /**
   * Begins a packet.
   * @param payload All of it.
   * @param expected How much it must expand to, in bytes.
   * @throws {StreamFormatError} If it is damaged, or expands to more.
   */
  begin(payload: Span, expected: number): void | Promise<void>;
  /**
   * Decompresses the next pages into their place.
   * @throws {StreamFormatError} If the payload is damaged or expands to less.
   */
  take(target: Span): void;
  /**
   * Ends the packet.
   * @throws {StreamFormatError} If the payload expands to more.
   */
  end(): void;
  /** Frees the stream. */
  close(): void;
}

/** What to throw when a payload holds fewer bytes than its pages. */
export function tooShort(missing: number): StreamFormatError {
  return new StreamFormatError(
    `The payload of a multifd packet expands to ${missing} bytes less than its pages`,
  );
}

/** What to throw when a payload holds more bytes than its pages. */
export function tooLong(): StreamFormatError {
  return new StreamFormatError("The payload of a multifd packet expands past its pages");
}

/** What to throw when a payload cannot be decompressed. */
export function damaged(method: CodecMethod, cause: unknown): StreamFormatError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new StreamFormatError(`The payload of a multifd packet is not ${method}: ${reason}`, {
    cause,
  });
}

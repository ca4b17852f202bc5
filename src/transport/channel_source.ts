/**
 * A {@linkcode ByteSource} over a {@linkcode Channel}: for the small protocols that a
 * {@linkcode ByteReader} decodes.
 *
 * @module
 */
import type { ByteSource } from "../wire/byte_source.ts";
import type { Channel } from "./channel.ts";
import { isPrompt, type PromptChannel } from "./prompt.ts";

/** Reads a channel through a window of bounded size. */
export class ChannelSource implements ByteSource {
  readonly #buffer: Uint8Array;
  #begin = 0;
  #end = 0;
  #position = 0;
  #ended = false;

  /**
   * Begins at the channel's next byte.
   * @param channel Where the bytes come from.
   * @param window The most bytes that are read ahead.
   */
  constructor(private readonly channel: Channel, readonly window = 64 * 1024) {
    this.#buffer = new Uint8Array(window);
  }

  get position(): number {
    return this.#position;
  }

  get available(): number {
    return this.#end - this.#begin;
  }

  async wait(count: number): Promise<number> {
    if (count > this.window) {
      throw new RangeError(`A wait for ${count} bytes in a window of ${this.window}`);
    }
    if (this.#begin === this.#end || this.#begin + count > this.window) {
      this.#buffer.copyWithin(0, this.#begin, this.#end);
      this.#end -= this.#begin;
      this.#begin = 0;
    }
    while (this.available < count && !this.#ended) {
      const got = await this.channel.read(this.#buffer.subarray(this.#end));
      this.#ended = got === 0;
      this.#end += got;
    }
    return this.available;
  }

  /** The channel, if it can be read without the event loop: {@linkcode room} and {@linkcode filled}. */
  get prompt(): PromptChannel | undefined {
    return isPrompt(this.channel) ? this.channel : undefined;
  }

  /** Room for the next bytes, not empty; who puts some there says so to {@linkcode filled}. */
  room(): Uint8Array {
    if (this.#end === this.window || this.#begin === this.#end) {
      this.#buffer.copyWithin(0, this.#begin, this.#end);
      this.#end -= this.#begin;
      this.#begin = 0;
    }
    return this.#buffer.subarray(this.#end);
  }

  /** Says how many bytes were put into {@linkcode room}. */
  filled(count: number): void {
    this.#end += count;
  }

  peek(into: Uint8Array, skip = 0): void {
    const from = this.#begin + skip;
    if (from + into.length > this.#end) throw new RangeError("A peek at bytes that are not there");
    into.set(this.#buffer.subarray(from, from + into.length));
  }

  consume(count: number): void {
    if (count > this.available) throw new RangeError("More bytes consumed than are there");
    this.#begin += count;
    this.#position += count;
  }

  /**
   * Fills `into` and consumes what it took: first from the window, then straight from the channel,
   * so that large contents are not copied twice.
   * @param into Where the bytes go, such as guest RAM.
   * @returns How many were read: fewer than `into` has only if the stream has ended.
   */
  async readInto(into: Uint8Array): Promise<number> {
    let filled = Math.min(this.available, into.length);
    this.peek(into.subarray(0, filled));
    this.consume(filled);
    while (filled < into.length && !this.#ended) {
      const got = await this.channel.read(into.subarray(filled));
      this.#ended = got === 0;
      this.#position += got;
      filled += got;
    }
    return filled;
  }
}

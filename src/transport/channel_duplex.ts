/**
 * A {@linkcode Channel} as a stream of `node:stream`, for what wants one: the TLS of `node:tls`.
 *
 * @module
 */
import { Duplex } from "node:stream";
import type { Channel } from "./channel.ts";

/** Most bytes of one read: larger ones only make more of them wait to be decrypted. */
const READ_MAX = 256 * 1024;

/**
 * Reads no further than it is let: what was read and not yet used up is at most one piece. The channel stays
 * open whatever becomes of the stream.
 */
export class ChannelDuplex extends Duplex {
  readonly #buffer = new Uint8Array(READ_MAX);
  #reading = false;
  #held: PromiseWithResolvers<void> | undefined;
  #wrote: (() => void)[] = [];
  #writing: Promise<void> | undefined;

  /** @param channel The connection. */
  constructor(private readonly channel: Channel) {
    super({
      allowHalfOpen: true,
      readableHighWaterMark: READ_MAX,
      writableHighWaterMark: READ_MAX,
    });
  }

  /** Lets no more be read until {@linkcode ChannelDuplex.goOn}. */
  hold(): void {
    this.#held ??= Promise.withResolvers();
  }

  /** Lets reading go on. */
  goOn(): void {
    this.#held?.resolve();
    this.#held = undefined;
  }

  /** When the next write of anybody has been done. */
  nextWrite(): Promise<void> {
    return new Promise((resolve) => this.#wrote.push(resolve));
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    while (this.#writing) await this.#writing.catch(() => {});
  }

  override _read(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#pull().catch((error) => this.destroy(error));
  }

  async #pull(): Promise<void> {
    for (;;) {
      await this.#held?.promise;
      const count = await this.channel.read(this.#buffer);
      if (count === 0) {
        this.push(null);
        return;
      }
      if (!this.push(this.#buffer.slice(0, count))) break;
    }
    this.#reading = false;
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    const writing = this.channel.write(chunk).finally(() => this.#writing = undefined);
    this.#writing = writing;
    writing.then(() => {
      done();
      for (const wrote of this.#wrote.splice(0)) wrote();
    }, done);
  }
}

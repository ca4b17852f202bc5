/**
 * Connections that arrive, in their order.
 *
 * @module
 */
import type { Endpoint } from "./endpoint.ts";
import type { MigrationUri } from "./uri.ts";
import { type Settle, waitFor, type WaitOptions } from "./wait.ts";

/** Connections that may wait to be accepted: more than one migration has channels. */
const WAITING_MAX = 512;

/** Where endpoints come from; made by {@linkcode listen}. */
export class Listener implements AsyncIterable<Endpoint>, AsyncDisposable {
  readonly #arrived: Endpoint[] = [];
  readonly #accepts = new Set<Settle<Endpoint | undefined>>();
  #over = false;

  /**
   * Made by {@linkcode listen}.
   * @param uri Where it listens, with the port that was chosen.
   * @param stop Ends what connections come from.
   */
  constructor(readonly uri: MigrationUri, private readonly stop: () => Promise<void>) {}

  /**
   * Waits for the next connection.
   * @param options When to give up; no connection is lost by that.
   * @returns `undefined` if there is none and will be none.
   */
  accept(options: WaitOptions = {}): Promise<Endpoint | undefined> {
    return waitFor(`Accepting a connection`, options, (settle) => {
      const endpoint = this.#arrived.shift();
      if (endpoint !== undefined || this.#over) settle.resolve(endpoint);
      else this.#accepts.add(settle);
      return () => this.#accepts.delete(settle);
    });
  }

  /** Ends when the listener is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Endpoint, void, void> {
    for (let next; (next = await this.accept()) !== undefined;) yield next;
  }

  /** Stops listening and closes the connections that nobody accepted. */
  async close(): Promise<void> {
    this.end();
    const waiting = this.#arrived.splice(0).map((endpoint) => endpoint.close());
    await Promise.all([this.stop(), ...waiting]);
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** For what connections come from: here is one. */
  offer(endpoint: Endpoint): void {
    if (this.#over || this.#arrived.length >= WAITING_MAX) {
      endpoint.close();
      return;
    }
    const [first] = this.#accepts;
    if (first === undefined) {
      this.#arrived.push(endpoint);
    } else {
      this.#accepts.delete(first);
      first.resolve(endpoint);
    }
  }

  /** For what connections come from: there will be no others. */
  end(): void {
    this.#over = true;
    for (const accept of this.#accepts) accept.resolve(undefined);
    this.#accepts.clear();
  }
}

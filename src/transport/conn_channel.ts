/**
 * A {@linkcode Channel} over a `Deno.Conn`, for the thread that made it: the other half of a bridge.
 *
 * @module
 */
import { ConnectionLostError, StateError } from "../errors.ts";
import type { YieldingChannel } from "./channel.ts";
import { reasonOf } from "./os_error.ts";

/** A read of the connection, which nothing can stop. */
type Received = Promise<Uint8Array>;

/** Reads and writes with Deno's public API. */
export class ConnChannel implements YieldingChannel {
  #reading: { readonly received: Received; reject(reason: StateError): void } | undefined;
  /** What a read that was taken back gets, and nobody had yet. */
  #ahead: Received | undefined;
  #writing = false;
  #closed = false;
  #shutdown = false;

  /**
   * Takes a connection over.
   * @param conn The connection, which this channel closes.
   * @param peer What is on the other side.
   */
  constructor(private readonly conn: Deno.Conn, readonly peer: string) {}

  read(into: Uint8Array): Promise<number> {
    if (this.#reading) {
      return Promise.reject(new StateError(`A read on ${this.peer} while another is pending`));
    }
    if (into.length === 0) return Promise.reject(new RangeError("A read into no bytes"));
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const ahead = this.#ahead;
    this.#ahead = undefined;
    const received = ahead ?? this.#receive(into);
    const reading = this.#reading = { received, reject };
    const settle = <T>(how: (result: T) => void) => (result: T) => {
      if (this.#reading !== reading) return; // it was taken back
      this.#reading = undefined;
      how(result);
    };
    received.then(
      settle((bytes) => resolve(ahead ? this.#takeAhead(bytes, into) : bytes.length)),
      settle(reject),
    );
    return promise;
  }

  async #receive(into: Uint8Array): Received {
    try {
      return into.subarray(0, await this.conn.read(into) ?? 0);
    } catch (error) {
      throw this.#lost(error);
    }
  }

  #takeAhead(bytes: Uint8Array, into: Uint8Array): number {
    const count = Math.min(bytes.length, into.length);
    into.set(bytes.subarray(0, count));
    if (count < bytes.length) this.#ahead = Promise.resolve(bytes.subarray(count));
    return count;
  }

  withdrawRead(): void {
    if (!this.#reading) return;
    const { received, reject } = this.#reading;
    this.#ahead = received;
    this.#reading = undefined;
    reject(new StateError(`A read on ${this.peer} was taken back`));
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.writeGather([bytes]);
  }

  async writeGather(parts: readonly Uint8Array[]): Promise<void> {
    if (this.#writing) throw new StateError(`A write on ${this.peer} while another is pending`);
    if (this.#shutdown) throw new StateError(`A write to ${this.peer} after its end`);
    this.#writing = true;
    try {
      for (const part of parts) {
        for (let at = 0; at < part.length;) at += await this.conn.write(part.subarray(at));
      }
    } catch (error) {
      throw this.#lost(error);
    } finally {
      this.#writing = false;
    }
  }

  async shutdown(): Promise<void> {
    if (this.#writing) throw new StateError(`A shutdown on ${this.peer} while a write is pending`);
    if (this.#shutdown) return;
    this.#shutdown = true;
    try {
      await this.conn.closeWrite();
    } catch (error) {
      throw this.#lost(error);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.conn.close();
  }

  #lost(cause: unknown): ConnectionLostError {
    const reason = this.#closed ? "it was closed on this side" : reasonOf(cause);
    return new ConnectionLostError(`Lost the connection to ${this.peer}: ${reason}`, { cause });
  }
}

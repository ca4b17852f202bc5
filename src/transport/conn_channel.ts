/**
 * A {@linkcode Channel} over a `Deno.Conn`, for the thread that made it: the other half of a bridge.
 *
 * @module
 */
import { ConnectionLostError, StateError } from "../errors.ts";
import type { Channel } from "./channel.ts";
import { reasonOf } from "./os_error.ts";

/** Reads and writes with Deno's public API. */
export class ConnChannel implements Channel {
  #reading = false;
  #writing = false;
  #closed = false;
  #shutdown = false;

  /**
   * Takes a connection over.
   * @param conn The connection, which this channel closes.
   * @param peer What is on the other side.
   */
  constructor(private readonly conn: Deno.Conn, readonly peer: string) {}

  async read(into: Uint8Array): Promise<number> {
    if (this.#reading) throw new StateError(`A read on ${this.peer} while another is pending`);
    if (into.length === 0) throw new RangeError("A read into no bytes");
    this.#reading = true;
    try {
      return await this.conn.read(into) ?? 0;
    } catch (error) {
      throw this.#lost(error);
    } finally {
      this.#reading = false;
    }
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

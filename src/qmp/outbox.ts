/**
 * What a client has still to read: it leaves in its order, and is never more than a client may owe.
 *
 * @module
 */
import type { Channel } from "../transport/channel.ts";

/** So many bytes may wait before an answer waits too. */
const ROOM = 64 * 1024;
/** With so many bytes waiting, the client does not read: it is given up. */
export const BACKLOG_MAX = 1024 ** 2;

/** A queue of text in front of a connection. */
export class Outbox {
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #writing: Promise<void> | undefined;
  #roomMade: PromiseWithResolvers<void> | undefined;
  #closed = false;

  /**
   * @param channel Where to; closed when it fails, or its reader falls behind.
   * @param max The most bytes that wait.
   */
  constructor(private readonly channel: Channel, private readonly max = BACKLOG_MAX) {}

  /** Whether the connection is closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Adds text; the connection is closed if there is too much. */
  push(text: string): void {
    if (this.#closed) return;
    const bytes = new TextEncoder().encode(text);
    if (this.#bytes + bytes.length > this.max) return this.close();
    this.#waiting.push(bytes);
    this.#bytes += bytes.length;
    this.#writing ??= this.#write();
  }

  /** Waits until the client has read most of what it was sent, or is gone. */
  async room(): Promise<void> {
    while (this.#bytes > ROOM && !this.#closed) {
      this.#roomMade ??= Promise.withResolvers();
      await this.#roomMade.promise;
    }
  }

  /** Waits until everything is written, or the connection is closed. */
  async drained(): Promise<void> {
    await this.#writing;
  }

  /** Closes the connection; what waits is lost. */
  close(): void {
    this.#closed = true;
    this.#waiting = [];
    this.#bytes = 0;
    this.channel.close();
    this.#wake();
  }

  async #write(): Promise<void> {
    try {
      for (let parts; (parts = this.#waiting).length > 0;) {
        this.#waiting = [];
        await this.channel.writeGather(parts);
        this.#bytes -= parts.reduce((sum, part) => sum + part.length, 0);
        this.#wake();
      }
    } catch {
      this.close(); // the client is gone, and nobody else has to know
    }
    this.#writing = undefined;
  }

  #wake(): void {
    this.#roomMade?.resolve();
    this.#roomMade = undefined;
  }
}

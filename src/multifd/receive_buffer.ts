/**
 * The bytes of one receiving channel: a buffer for headers and for what has to be looked at before it
 * goes to its place, and past the buffer straight to that place.
 *
 * ```text
 * room for the lists of PagePlacer · buffer: [ ... start ──unread── end ... ]
 * ```
 *
 * @module
 */
import { ConnectionLostError } from "../errors.ts";
import { WASM_PAGE } from "../machine/ram_block.ts";
import type { Channel } from "../transport/channel.ts";

/** Where the buffer begins in its memory; what is below is not the buffer's. */
const BUFFER = WASM_PAGE;

/** What has arrived on one channel and what is still to be read. */
export class ReceiveBuffer {
  /** A WebAssembly memory, so that kernels can work on it. */
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array<ArrayBufferLike>;
  readonly view: DataView<ArrayBufferLike>;
  readonly #limit: number;
  #start = BUFFER;
  #end = BUFFER;
  /** Bytes taken from the connection. */
  received = 0;
  /** Milliseconds spent waiting for the connection. */
  waitMs = 0;

  /**
   * @param channel The connection.
   * @param size The most bytes that are needed at once.
   */
  constructor(private readonly channel: Channel, size: number) {
    const pages = Math.ceil((BUFFER + size) / WASM_PAGE);
    this.#limit = pages * WASM_PAGE;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
  }

  /** Where the next byte lies in the memory. */
  get start(): number {
    return this.#start;
  }

  /** Where what has arrived ends in the memory. */
  get end(): number {
    return this.#end;
  }

  /** Where in the channel's stream the next byte is. */
  get position(): number {
    return this.received - this.#unread;
  }

  get #unread(): number {
    return this.#end - this.#start;
  }

  /**
   * Waits until bytes are in the buffer, in one piece.
   * @param count How many must be there.
   * @param ahead How many may be there: what arrives together is read together.
   * @returns Whether they are; `false` if the connection ended before any of them.
   * @throws {ConnectionLostError} If it ended among them, or broke.
   */
  async need(count: number, ahead: number): Promise<boolean> {
    if (this.#unread >= count) return true;
    if (this.#start + Math.max(count, ahead) > this.#limit) this.#compact();
    const end = Math.min(this.#limit, this.#start + Math.max(count, ahead));
    while (this.#unread < count) {
      const got = await this.#read(this.bytes.subarray(this.#end, end));
      if (got === 0 && this.#unread === 0) return false;
      if (got === 0) throw this.#ended();
      this.#end += got;
    }
    return true;
  }

  /** Passes over bytes that are in the buffer. */
  skip(count: number): void {
    this.#start += count;
    if (this.#start === this.#end) this.#start = this.#end = BUFFER;
  }

  /**
   * Fills a piece of memory: with what is in the buffer, then straight from the connection.
   * @throws {ConnectionLostError} If the connection ended before that, or broke.
   */
  async readInto(target: Uint8Array): Promise<void> {
    let filled = Math.min(this.#unread, target.length);
    if (filled > 0) {
      target.set(this.bytes.subarray(this.#start, this.#start + filled));
      this.skip(filled);
    }
    while (filled < target.length) {
      const got = await this.#read(filled === 0 ? target : target.subarray(filled));
      if (got === 0) throw this.#ended();
      filled += got;
    }
  }

  async #read(into: Uint8Array): Promise<number> {
    const before = performance.now();
    const count = await this.channel.read(into);
    this.waitMs += performance.now() - before;
    this.received += count;
    return count;
  }

  #compact(): void {
    this.bytes.copyWithin(BUFFER, this.#start, this.#end);
    this.#end -= this.#start - BUFFER;
    this.#start = BUFFER;
  }

  #ended(): ConnectionLostError {
    return new ConnectionLostError(`The connection to ${this.channel.peer} ended inside a packet`);
  }
}

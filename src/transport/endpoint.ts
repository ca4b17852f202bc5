/**
 * The main thread's side of an open connection: look at its first bytes, then hand it over.
 *
 * @module
 */
import { StateError, TransportError } from "../errors.ts";
import type { ChannelSpec, Direction, FileSpec } from "./channel.ts";
import type { Command } from "./command.ts";
import type { Connection } from "./connection.ts";
import { waitFor, type WaitOptions } from "./wait.ts";

/** Most bytes that are kept of a connection that is watched. */
const WATCHED_MAX = 16 * 1024;

/** A connection that no thread uses yet. It has to be handed off or closed. */
export class Endpoint implements AsyncDisposable {
  #head: Uint8Array = new Uint8Array(0);
  #state: "open" | "under watch" | "handed off" | "closed" = "open";
  #watch: Promise<void> | undefined;

  /**
   * Takes charge of what was opened.
   * @param connection What is open.
   * @param command The command behind it, if there is one.
   */
  constructor(
    private readonly connection: Connection,
    private readonly command?: Command,
  ) {}

  /** What is on the other side, for messages. */
  get peer(): string {
    return this.connection.peer;
  }

  /** Which way bytes can go: only with both is there a return path. */
  get direction(): Direction {
    return this.connection.direction;
  }

  /** The file, if it is one: any number of threads may open it. */
  get file(): FileSpec | undefined {
    return this.connection.file;
  }

  /**
   * When the command behind it has ended, and how it failed if it did; without a command there is no
   * such moment.
   */
  get ended(): Promise<string | undefined> | undefined {
    return this.command?.ended;
  }

  /**
   * Reads the first bytes, which say what kind of channel this is. The channel that is opened from
   * this endpoint delivers them again. If it is given up or fails, the endpoint is closed.
   * @param count How many; asking again for more reads on.
   * @param options When to give up.
   * @returns The bytes: fewer than `count` only if the stream has no more.
   * @throws {ConnectionLostError | CancelledError | TransportError} As the connection or the wait ends.
   */
  async readHead(count: number, options: WaitOptions = {}): Promise<Uint8Array> {
    this.#use();
    if (this.#head.length < count) {
      try {
        await waitFor<void>(`Reading from ${this.peer}`, options, ({ resolve, reject }) => {
          this.#fill(count).then(resolve, reject);
          return () => this.connection.close();
        });
      } catch (error) {
        await this.close();
        throw error;
      }
    }
    return this.#head.slice(0, count);
  }

  /**
   * Writes the first bytes, which say to the peer what kind of channel this is. If it is given up or
   * fails, the endpoint is closed.
   * @param options When to give up.
   * @throws {ConnectionLostError | CancelledError | TransportError} As the connection or the wait ends.
   */
  async writeHead(bytes: Uint8Array, options: WaitOptions = {}): Promise<void> {
    this.#use();
    try {
      await waitFor<void>(`Writing to ${this.peer}`, options, ({ resolve, reject }) => {
        this.connection.open().write(bytes).then(resolve, reject);
        return () => this.connection.close();
      });
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /**
   * Looks whether the connection ends, until {@linkcode endWatch}; meanwhile it is good for {@linkcode close}
   * only. What comes is kept for the channel that is opened from this endpoint, and once that is a lot,
   * nobody looks any more.
   * @param onEnd Called if it ends, with why if that was not orderly.
   * @throws {StateError} If it was handed off or closed, or is watched already.
   */
  watchEnd(onEnd: (reason?: unknown) => void): void {
    this.#use();
    this.#state = "under watch";
    const watched = () => this.#state === "under watch";
    this.#watch = this.#fill(WATCHED_MAX, watched).then(
      () => void (watched() && this.#head.length < WATCHED_MAX && onEnd()),
      (error) => void (watched() && onEnd(error)),
    );
  }

  /** Nobody looks any more, and the endpoint can be used again when this resolves. */
  async endWatch(): Promise<void> {
    if (this.#state !== "under watch") return;
    this.#state = "open";
    this.connection.withdrawRead();
    await this.#watch;
  }

  async #fill(count: number, goesOn = () => true): Promise<void> {
    const channel = this.connection.open();
    const bytes = new Uint8Array(count);
    bytes.set(this.#head);
    while (this.#head.length < count && goesOn()) {
      const from = this.#head.length;
      const got = await channel.read(bytes.subarray(from));
      if (got === 0) break;
      this.#head = bytes.subarray(0, from + got);
    }
  }

  /**
   * Gives the connection to a thread that opens it with `openChannel`. After it this endpoint is
   * good for {@linkcode finish} and {@linkcode close} only.
   * @throws {StateError} If it was handed off or closed.
   */
  handOff(): ChannelSpec {
    this.#use();
    this.#state = "handed off";
    return this.connection.handOff(this.#head);
  }

  /**
   * Gives the connection to two threads, one that reads and one that writes. The connection ends when
   * both have closed theirs; the writer's `shutdown` tells the peer that it has ended.
   * @throws {StateError} If it was handed off or closed, or has only one direction.
   */
  handOffHalves(): { readonly read: ChannelSpec; readonly write: ChannelSpec } {
    this.#use();
    const halves = this.connection.handOffHalves(this.#head);
    this.#state = "handed off";
    return halves;
  }

  /**
   * Waits until what is behind the connection is done with the stream: a command has ended. For
   * others there is nothing to wait for.
   * @throws {TransportError} If the command failed.
   */
  async finish(options: WaitOptions = {}): Promise<void> {
    const { command } = this;
    if (command === undefined) return;
    const failure = await waitFor<string | undefined>(
      `Waiting for ${this.peer} to end`,
      options,
      ({ resolve }) => {
        command.ended.then(resolve);
        return () => {};
      },
    );
    if (failure !== undefined) throw new TransportError(`The command ${this.peer}: ${failure}`);
  }

  /** Closes what was not handed off; ends the command. Resolves when nothing is left of it. */
  async close(): Promise<void> {
    const stopped = this.command?.stop(); // first, so that it does not take the end for the stream's
    const state = this.#state;
    this.#state = "closed";
    const closed = state === "handed off"
      ? this.connection.abandon()
      : state === "closed"
      ? undefined
      : this.connection.close();
    await Promise.all([stopped, closed]);
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #use(): void {
    if (this.#state !== "open") {
      throw new StateError(`The connection to ${this.peer} is already ${this.#state}`);
    }
  }
}

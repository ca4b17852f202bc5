/**
 * A {@linkcode Channel} over a descriptor: a connected socket, or one end of a pipe.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { ConnectionLostError, StateError } from "../errors.ts";
import { Errno } from "../os/errno.ts";
import { PromptSocket } from "../os/prompt_socket.ts";
import type { DescriptorSpec, YieldingChannel } from "./channel.ts";
import { adoptDescriptor, readInto, stopReading, takeDescriptor } from "./descriptor.ts";
import { EventLoopTurns } from "./event_loop_turns.ts";
import { reasonOf } from "./os_error.ts";
import type { PromptChannel } from "./prompt.ts";

/**
 * Most bytes of one write: pipes and Unix sockets copy what the kernel does not take at once, and this
 * bounds the copy.
 */
const WRITE_MAX = 1 << 20;

/** Reads and writes a descriptor on the thread it was opened on. */
export class SocketChannel implements PromptChannel, YieldingChannel {
  readonly peer: string;
  readonly #socket;
  #head: Uint8Array | undefined;
  #reading: PromiseWithResolvers<number> | undefined;
  #writing: PromiseWithResolvers<void> | undefined;
  #shutdown: PromiseWithResolvers<void> | undefined;
  readonly #turns = new EventLoopTurns();
  #joined: Uint8Array | undefined;
  readonly #prompt: PromptSocket;
  #ended = false;
  #failure: Error | undefined;

  /**
   * Opens it on this thread.
   * @param spec The descriptor, which this channel closes.
   * @throws {TransportError} If it is neither a socket nor a pipe.
   */
  constructor(private readonly spec: DescriptorSpec) {
    this.peer = spec.peer;
    this.#head = spec.head;
    const socket = adoptDescriptor(spec.fd, (count) => this.#arrived(count));
    this.#socket = socket;
    this.#prompt = new PromptSocket(spec.fd);
    socket.on("end", () => {
      this.#ended = true;
      this.#arrived(0);
    });
    socket.on("error", (cause) => this.#fail(this.#lost(reasonOf(cause), cause)));
    socket.on("close", () => this.#fail(this.#lost("it is closed")));
  }

  read(into: Uint8Array): Promise<number> {
    const misuse = this.#misuse("read", this.#reading, "write");
    if (misuse) return Promise.reject(misuse);
    if (into.length === 0) return Promise.reject(new RangeError("A read into no bytes"));
    if (this.#head !== undefined) return Promise.resolve(this.#takeHead(this.#head, into));
    if (this.#ended) return Promise.resolve(0);
    if (this.#failure) return Promise.reject(this.#failure);
    this.#reading = Promise.withResolvers();
    const { promise } = this.#reading;
    const error = readInto(this.#socket, into);
    if (error !== 0) this.#fail(this.#lost(`error ${error}`));
    return promise;
  }

  readNow(into: Uint8Array, milliseconds: number): number | undefined {
    if (this.#reading || this.#head || this.#ended || this.#failure) return undefined;
    const count = this.#prompt.read(into, milliseconds);
    if (count > 0) return count;
    return count === -Errno.EAGAIN || count === -Errno.EINTR ? 0 : undefined;
  }

  keepQueueShort(): void {
    if (!this.#failure) this.#prompt.keepQueueShort();
  }

  writeNow(bytes: Uint8Array, milliseconds: number): number {
    if (this.#writing || this.#shutdown || this.#failure) return 0;
    return Math.max(0, this.#prompt.write(bytes, milliseconds));
  }

  #takeHead(head: Uint8Array, into: Uint8Array): number {
    const count = Math.min(head.length, into.length);
    into.set(head.subarray(0, count));
    this.#head = count < head.length ? head.subarray(count) : undefined;
    return count;
  }

  withdrawRead(): void {
    const reading = this.#reading;
    if (!reading) return;
    stopReading(this.#socket);
    this.#reading = undefined;
    reading.reject(new StateError(`A read on ${this.peer} was taken back`));
  }

  #arrived(count: number): void {
    const reading = this.#reading;
    this.#reading = undefined;
    reading?.resolve(count);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.writeGather([bytes]);
  }

  writeGather(parts: readonly Uint8Array[]): Promise<void> {
    const misuse = this.#misuse("write", this.#writing, "read");
    if (misuse) return Promise.reject(misuse);
    if (this.#shutdown) {
      return Promise.reject(new StateError(`A write to ${this.peer} after its end`));
    }
    if (this.#failure) return Promise.reject(this.#failure);
    const writing = Promise.withResolvers<void>();
    this.#writing = writing;
    this.#send(writing, this.spec.transport === "tcp" ? parts : this.#join(parts), 0, 0);
    return writing.promise;
  }

  /** Copies parts together: cheaper than a system call for each, which is what node:net would make. */
  #join(parts: readonly Uint8Array[]): readonly Uint8Array[] {
    const total = parts.reduce((sum, part) => sum + part.length, 0);
    if (parts.length < 2 || total > WRITE_MAX) return parts;
    this.#joined ??= new Uint8Array(WRITE_MAX);
    let end = 0;
    for (const part of parts) {
      this.#joined.set(part, end);
      end += part.length;
    }
    return [this.#joined.subarray(0, end)];
  }

  /** Sends the parts from `parts[index]`, byte `at`, on: one batch now, the rest when that is written. */
  #send(
    writing: PromiseWithResolvers<void>,
    parts: readonly Uint8Array[],
    index: number,
    at: number,
  ): void {
    let room = WRITE_MAX;
    let held: Uint8Array | undefined;
    this.#socket.cork(); // what is corked leaves in one writev
    for (; room > 0 && index < parts.length; index++, at = 0) {
      const part = parts[index]!;
      if (part.length === at) continue;
      if (held) this.#socket.write(held);
      held = part.subarray(at, at + room);
      room -= held.length;
      at += held.length;
      if (at < part.length) break;
    }
    const go = () => {
      if (this.#writing !== writing) return; // closed meanwhile
      if (index < parts.length) return this.#send(writing, parts, index, at);
      this.#writing = undefined;
      writing.resolve();
    };
    const written = (error?: Error | null) => {
      if (error) this.#fail(this.#lost(reasonOf(error), error));
      else if (this.#turns.due(WRITE_MAX - room)) setImmediate(go);
      else go();
    };
    if (held) this.#socket.write(held, written);
    this.#socket.uncork();
    if (!held) written();
  }

  shutdown(): Promise<void> {
    const misuse = this.#misuse("shutdown", this.#writing, "read");
    if (misuse) return Promise.reject(misuse);
    if (this.#shutdown) return this.#shutdown.promise;
    if (this.#failure) return Promise.reject(this.#failure);
    const shutdown = Promise.withResolvers<void>();
    this.#shutdown = shutdown;
    this.#socket.end(() => {
      // A pipe has no half to shut down: the reader sees the end when the descriptor is closed.
      if (this.spec.transport === "pipe") this.#socket.destroy();
      shutdown.resolve();
    });
    return shutdown.promise;
  }

  close(): void {
    this.#fail(this.#lost("it was closed on this side"));
    this.#socket.destroy();
  }

  /**
   * Takes the descriptor back to hand it to another thread; only if nothing is pending.
   * @returns The descriptor, which is not this channel's any more.
   */
  release(): number {
    if (this.#failure) throw this.#failure;
    if (this.#reading || this.#writing) {
      throw new StateError(`The connection to ${this.peer} is in use and cannot be handed over`);
    }
    const fd = takeDescriptor(this.#socket);
    this.#fail(new StateError(`The connection to ${this.peer} was handed over`));
    return fd;
  }

  #misuse(operation: string, pending: unknown, only: "read" | "write"): StateError | undefined {
    if (pending) return new StateError(`A ${operation} on ${this.peer} while another is pending`);
    if (this.spec.direction !== only) return undefined;
    return new StateError(`A ${operation} on ${this.peer}, which can only ${only}`);
  }

  #lost(reason: string, cause?: unknown): ConnectionLostError {
    return new ConnectionLostError(`Lost the connection to ${this.peer}: ${reason}`, { cause });
  }

  /** The first failure is the one everybody gets. */
  #fail(failure: Error): void {
    this.#failure ??= failure;
    const pending = [this.#reading, this.#writing, this.#shutdown];
    this.#reading = this.#writing = undefined;
    for (const operation of pending) operation?.reject(this.#failure);
  }
}

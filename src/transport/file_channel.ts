/**
 * A {@linkcode Channel} over a file, with what only files can: positions and `sync`. Every operation is
 * a system call on the calling thread; the event loop gets a turn every few MiB.
 *
 * @module
 */
import fs from "node:fs";
import path from "node:path";
import { setImmediate } from "node:timers/promises";
import { ConnectionLostError, StateError, TransportError } from "../errors.ts";
import type { Channel, FileSpec } from "./channel.ts";
import { EventLoopTurns } from "./event_loop_turns.ts";
import { codeOf, reasonOf } from "./os_error.ts";

/** Most bytes of one system call, so that a large operation can be closed in between. */
const CALL_MAX = 8 << 20;

/** Reads or writes a file from an offset on. */
export class FileChannel implements Channel {
  readonly peer: string;
  readonly #fd: number;
  readonly #turns = new EventLoopTurns();
  #position: number;
  #closed = false;

  /**
   * Opens it on this thread.
   * @param spec What {@linkcode fileSpec} returned.
   * @throws {TransportError} If the file cannot be opened, or another is in its place.
   */
  constructor(private readonly spec: FileSpec) {
    this.peer = `file:${spec.path}`;
    this.#position = spec.offset;
    const flags = spec.mode === "read" ? fs.constants.O_RDONLY : fs.constants.O_WRONLY;
    this.#fd = spec.direct ? openDirect(spec.path, flags) : openFile(spec.path, flags);
    if (identityOf(this.#fd) === spec.identity) return;
    fs.closeSync(this.#fd);
    throw new TransportError(`Cannot open ${this.peer}: another file has taken its place`);
  }

  /** Where the next {@linkcode read} or {@linkcode write} begins, in bytes from the file's start. */
  get position(): number {
    return this.#position;
  }

  /** The file's length, in bytes. */
  get size(): number {
    return this.#call("look at", () => fs.fstatSync(this.#fd).size);
  }

  async read(into: Uint8Array): Promise<number> {
    if (into.length === 0) throw new RangeError("A read into no bytes");
    const count = this.#readOnce(into, this.#position);
    this.#position += count;
    if (this.#turns.due(count)) await setImmediate();
    return count;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const at = this.#position;
    this.#position += bytes.length;
    await this.writeAt(bytes, at);
  }

  async writeGather(parts: readonly Uint8Array[]): Promise<void> {
    this.#use("write");
    const total = parts.reduce((sum, part) => sum + part.length, 0);
    const at = this.#position;
    this.#position += total;
    const written = this.#call("write", () => fs.writevSync(this.#fd, [...parts], at));
    // The rest of a short write goes part by part.
    let end = 0;
    for (const part of parts) {
      const from = Math.max(written - end, 0);
      if (from < part.length) await this.writeAt(part.subarray(from), at + end + from);
      end += part.length;
    }
    if (this.#turns.due(written)) await setImmediate();
  }

  /**
   * Reads at a position, without moving this channel's own.
   * @returns How many bytes: fewer than `into` has only at the file's end.
   */
  async readAt(into: Uint8Array, position: number): Promise<number> {
    let filled = 0;
    while (filled < into.length) {
      const count = this.#readOnce(into.subarray(filled), position + filled);
      if (count === 0) break;
      filled += count;
      if (this.#turns.due(count)) await setImmediate();
    }
    return filled;
  }

  /**
   * Reads at a position, now and on this thread: for who has nothing else to do.
   * @param into Where the bytes go, from `at` on.
   * @returns How many: fewer than `length` only at the file's end.
   */
  readNow(into: Uint8Array, at: number, length: number, position: number): number {
    this.#use("read");
    let filled = 0;
    while (filled < length) {
      const count = this.#call("read", () => {
        return fs.readSync(this.#fd, into, at + filled, length - filled, position + filled);
      });
      if (count === 0) break;
      filled += count;
    }
    return filled;
  }

  /** Writes all of `bytes` at a position, without moving this channel's own. */
  async writeAt(bytes: Uint8Array, position: number): Promise<void> {
    this.#use("write");
    for (let at = 0; at < bytes.length;) {
      const length = Math.min(bytes.length - at, CALL_MAX);
      const count = this.#call(
        "write",
        () => fs.writeSync(this.#fd, bytes, at, length, position + at),
      );
      at += count;
      if (this.#turns.due(count)) await setImmediate();
    }
  }

  /** As {@linkcode FileChannel.writeAt}, now and on this thread, for who has nothing else to do. */
  writeNow(bytes: Uint8Array, at: number, length: number, position: number): void {
    this.#use("write");
    for (let done = 0; done < length;) {
      done += this.#call("write", () => {
        return fs.writeSync(this.#fd, bytes, at + done, length - done, position + done);
      });
    }
  }

  /** Goes on with {@linkcode read} or {@linkcode write} at another position. */
  seek(position: number): void {
    this.#position = position;
  }

  /** Makes the file longer or shorter. */
  truncate(size: number): void {
    this.#use("write");
    this.#call("resize", () => fs.ftruncateSync(this.#fd, size));
  }

  /** Returns when everything written is on the device. */
  sync(): void {
    this.#use("write");
    this.#call("sync", () => fs.fsyncSync(this.#fd));
  }

  /** Nothing to tell anybody: a file ends where its last byte is. */
  shutdown(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    fs.closeSync(this.#fd);
  }

  #readOnce(into: Uint8Array, position: number): number {
    this.#use("read");
    const length = Math.min(into.length, CALL_MAX);
    return this.#call("read", () => fs.readSync(this.#fd, into, 0, length, position));
  }

  #use(mode: FileSpec["mode"]): void {
    if (this.#closed) {
      throw new ConnectionLostError(`Lost ${this.peer}: it was closed on this side`);
    }
    if (this.spec.mode !== mode) throw new StateError(`${this.peer} is open to ${this.spec.mode}`);
  }

  #call<T>(operation: string, call: () => T): T {
    return attempt(`${operation} ${this.peer}`, call);
  }
}

/**
 * Checks a file that is to be read, or makes one that is to be written as QEMU does: created for its
 * owner alone, cut off at `offset`, what lies before left as it is.
 * @param name The path, from the current directory.
 * @param offset Where the stream begins.
 * @returns What a thread opens it with.
 * @throws {TransportError} If that cannot be done, or it is no regular file.
 */
export function fileSpec(name: string, offset: number, mode: FileSpec["mode"]): FileSpec {
  const file = path.resolve(name);
  refuseSpecialFile(file, mode); // opening a FIFO would block the thread
  const { O_RDONLY, O_WRONLY, O_CREAT } = fs.constants;
  const fd = openFile(file, mode === "read" ? O_RDONLY : O_WRONLY | O_CREAT);
  try {
    if (mode === "write") {
      attempt(`cut off file:${file} at ${offset}`, () => fs.ftruncateSync(fd, offset));
    }
    return { kind: "file", path: file, offset, mode, identity: identityOf(fd) };
  } finally {
    fs.closeSync(fd);
  }
}

function refuseSpecialFile(file: string, mode: FileSpec["mode"]): void {
  const stat = attempt(`open file:${file}`, () => fs.statSync(file, { throwIfNoEntry: false }));
  if (!stat || stat.isFile() || stat.isDirectory()) return; // opening says it better
  if (mode === "read" && stat.isBlockDevice()) return;
  throw new TransportError(`Cannot use file:${file}: it is neither a file nor a directory`, {
    advice: mode === "read" ? "Use exec:cat PATH" : "Use exec:cat > PATH",
  });
}

function openFile(file: string, flags: number): number {
  return attempt(`open file:${file}`, () => fs.openSync(file, flags, 0o600));
}

/** Opens it to be used around the page cache, where its file system can do that. */
function openDirect(file: string, flags: number): number {
  try {
    return openFile(file, flags | fs.constants.O_DIRECT);
  } catch (error) {
    if (!(error instanceof TransportError) || codeOf(error.cause) !== "EINVAL") throw error;
    throw new TransportError(`Cannot open file:${file} around the page cache`, {
      cause: error,
      advice: "Its file system does not allow that: turn the parameter direct-io off.",
    });
  }
}

function attempt<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw new TransportError(`Cannot ${what}: ${reasonOf(cause)}`, { cause });
  }
}

function identityOf(fd: number): string {
  const { dev, ino } = fs.fstatSync(fd, { bigint: true });
  return `${dev}:${ino}`;
}

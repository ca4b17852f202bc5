/**
 * Files as a tool reads and writes them that has nothing else to do meanwhile: every call is a system
 * call on the calling thread.
 *
 * @module
 */
import fs from "node:fs";
import { TransportError } from "../errors.ts";
import { reasonOf } from "./os_error.ts";

/** Bytes that are read in order or, where `size` is known, at any place. */
export interface ReadableBytes {
  /** What messages call it. */
  readonly name: string;
  /** In bytes; `undefined` where it can only be read once, in order. */
  readonly size: number | undefined;
  /**
   * Reads some bytes.
   * @param into Where to.
   * @param position Where from; without `size`, where the last call ended.
   * @returns How many; 0 at the end.
   * @throws {TransportError} If the system refuses.
   */
  read(into: Uint8Array, position: number): number;
}

/** A regular file. */
export class SyncFile implements ReadableBytes, Disposable {
  readonly #fd: number;
  #size: number;

  private constructor(path: string, flags: number, readonly name = path) {
    this.#fd = attempt(`open ${path}`, () => fs.openSync(path, flags, 0o600));
    this.#size = attempt(`look at ${path}`, () => fs.fstatSync(this.#fd).size);
  }

  /** In bytes, as it was when it was opened and as it has become by our writing. */
  get size(): number {
    return this.#size;
  }

  /**
   * Opens a file to read it.
   * @throws {TransportError} If it cannot be opened or is no regular file.
   */
  static open(path: string): SyncFile {
    const stat = attempt(`open ${path}`, () => fs.statSync(path));
    if (!stat.isFile()) {
      throw new TransportError(`Cannot read ${path}: it is no file`, {
        ...(stat.isDirectory() ? {} : { advice: 'Give "-" and the bytes on the standard input' }),
      });
    }
    return new SyncFile(path, fs.constants.O_RDONLY);
  }

  /**
   * Makes a file, or empties the one there is, to write and read it.
   * @param path Where.
   * @param name What messages call it.
   * @throws {TransportError} If that cannot be done.
   */
  static create(path: string, name = path): SyncFile {
    const { O_RDWR, O_CREAT, O_TRUNC } = fs.constants;
    return new SyncFile(path, O_RDWR | O_CREAT | O_TRUNC, name);
  }

  read(into: Uint8Array, position: number): number {
    return attempt(
      `read ${this.name}`,
      () => fs.readSync(this.#fd, into, 0, into.length, position),
    );
  }

  /** Writes all of `bytes`. @throws {TransportError} If that cannot be done. */
  write(bytes: Uint8Array, position: number): void {
    attempt(`write ${this.name}`, () => {
      for (let at = 0; at < bytes.length;) {
        at += fs.writeSync(this.#fd, bytes, at, bytes.length - at, position + at);
      }
    });
    this.#size = Math.max(this.#size, position + bytes.length);
  }

  /** Makes it longer, with zeros that take no room, or shorter. */
  truncate(size: number): void {
    attempt(`resize ${this.name}`, () => fs.ftruncateSync(this.#fd, size));
    this.#size = size;
  }

  [Symbol.dispose](): void {
    fs.closeSync(this.#fd);
  }
}

/** The standard input, which is read once. */
export class SyncStdin implements ReadableBytes {
  readonly name = "the standard input";
  readonly size = undefined;

  read(into: Uint8Array): number {
    return attempt(`read ${this.name}`, () => Deno.stdin.readSync(into) ?? 0);
  }
}

/**
 * Makes a file that nobody else can open, and that is gone when it is closed or the program ends.
 * @param name What messages call it.
 * @throws {TransportError} If that cannot be done.
 */
export function temporaryFile(name: string): SyncFile {
  const path = attempt("make a temporary file", () => Deno.makeTempFileSync({ prefix: "ferry-" }));
  try {
    return SyncFile.create(path, name);
  } finally {
    fs.unlinkSync(path);
  }
}

/** Makes a folder and those above it, where they are missing. @throws {TransportError} If it cannot. */
export function makeFolder(path: string): void {
  attempt(`make folder ${path}`, () => fs.mkdirSync(path, { recursive: true }));
}

function attempt<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw new TransportError(`Cannot ${what}: ${reasonOf(cause)}`, { cause });
  }
}

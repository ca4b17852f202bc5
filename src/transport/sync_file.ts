/**
 * Files as a tool reads and writes them that has nothing else to do meanwhile: every call is a system
 * call on the calling thread. Node's modules are not used here: loading them takes longer than reading
 * a hundred megabytes.
 *
 * @module
 */
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
  readonly #file: Deno.FsFile;
  #size: number;
  /** Where the system will read or write next. */
  #position = 0;

  private constructor(path: string, options: Deno.OpenOptions, readonly name = path) {
    this.#file = attempt(`open ${path}`, () => Deno.openSync(path, options));
    this.#size = attempt(`look at ${path}`, () => this.#file.statSync().size);
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
    const stat = attempt(`open ${path}`, () => Deno.statSync(path));
    if (!stat.isFile) {
      throw new TransportError(`Cannot read ${path}: it is no file`, {
        ...(stat.isDirectory ? {} : { advice: 'Give "-" and the bytes on the standard input' }),
      });
    }
    return new SyncFile(path, { read: true });
  }

  /**
   * Makes a file, or empties the one there is, to write and read it.
   * @param path Where.
   * @param name What messages call it.
   * @throws {TransportError} If that cannot be done.
   */
  static create(path: string, name = path): SyncFile {
    const options = { read: true, write: true, create: true, truncate: true, mode: 0o600 };
    return new SyncFile(path, options, name);
  }

  read(into: Uint8Array, position: number): number {
    try {
      this.#seek(position);
      const count = this.#file.readSync(into) ?? 0;
      this.#position += count;
      return count;
    } catch (cause) {
      throw refused(`read ${this.name}`, cause);
    }
  }

  /** Writes all of `bytes`. @throws {TransportError} If that cannot be done. */
  write(bytes: Uint8Array, position: number): void {
    attempt(`write ${this.name}`, () => {
      this.#seek(position);
      for (let at = 0; at < bytes.length;) {
        const count = this.#file.writeSync(bytes.subarray(at));
        at += count;
        this.#position += count;
      }
    });
    this.#size = Math.max(this.#size, position + bytes.length);
  }

  /** Makes it longer, with zeros that take no room, or shorter. */
  truncate(size: number): void {
    attempt(`resize ${this.name}`, () => this.#file.truncateSync(size));
    this.#size = size;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }

  #seek(position: number): void {
    if (position === this.#position) return;
    this.#file.seekSync(position, Deno.SeekMode.Start);
    this.#position = position;
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
    Deno.removeSync(path);
  }
}

/** Makes a folder and those above it, where they are missing. @throws {TransportError} If it cannot. */
export function makeFolder(path: string): void {
  attempt(`make folder ${path}`, () => Deno.mkdirSync(path, { recursive: true }));
}

function attempt<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw refused(what, cause);
  }
}

function refused(what: string, cause: unknown): TransportError {
  return new TransportError(`Cannot ${what}: ${reasonOf(cause)}`, { cause });
}

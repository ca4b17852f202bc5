/**
 * Reads and writes a socket with nothing in between: the thread blocks in the kernel for a moment, and goes on
 * as soon as there are bytes. That is for what somebody stands still for: a thread that comes back from its
 * event loop instead has them tens of microseconds later, at each end.
 *
 * @module
 */
import { Errno } from "./errno.ts";
import { failure, libc } from "./libc.ts";

const POLL_IN = 1;
/** A peer that is gone is an error, not a signal. */
const NO_SIGNAL = 0x4000;

/** One descriptor; others may read and write it too, as long as they do not at the same time. */
export class PromptSocket {
  readonly #poll: Int32Array<ArrayBuffer>;

  /** @param fd A non-blocking socket that stays open. */
  constructor(private readonly fd: number) {
    this.#poll = new Int32Array([fd, 0]);
  }

  /**
   * Blocks this thread until there are bytes, and reads them.
   * @param into Where they go; not empty.
   * @param timeout In milliseconds; 0 only looks.
   * @returns How many there were; 0 at the end of the stream; minus an errno, EAGAIN if none came in time.
   */
  read(into: Uint8Array, timeout: number): number {
    const library = libc();
    if (!library) return -Errno.ENOSYS;
    this.#poll[1] = POLL_IN;
    const ready = library.poll(this.#poll, 1n, timeout);
    if (ready < 0) return failure();
    if (ready === 0) return -Errno.EAGAIN;
    const count = Number(
      library.read(this.fd, into as Uint8Array<ArrayBuffer>, BigInt(into.length)),
    );
    return count < 0 ? failure() : count;
  }

  /** Writes what the kernel takes at once. @returns How many bytes, or minus an errno. */
  write(bytes: Uint8Array): number {
    const library = libc();
    if (!library) return -Errno.ENOSYS;
    const from = bytes as Uint8Array<ArrayBuffer>;
    const count = Number(library.send(this.fd, from, BigInt(bytes.length), NO_SIGNAL));
    return count < 0 ? failure() : count;
  }
}

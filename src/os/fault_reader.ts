/**
 * Reads the page faults of a userfaultfd that is registered for missing pages.
 *
 * @module
 */
import { Errno } from "./errno.ts";
import { failure, libc } from "./libc.ts";

/** How many events one read takes at most. */
export const FAULTS_PER_READ = 16;

const EVENT_WORDS = 8;
const PAGEFAULT = 0x12;
const EVENTS_BYTES = BigInt(FAULTS_PER_READ * EVENT_WORDS * 4);
const FLAG_WRITE = 1;
const POLL_IN = 1;

/**
 * What the kernel tells of a fault, as bytes: for who wants to read some without having them.
 * @param thread The thread's number.
 */
export function pageFaultEvent(address: number, thread = 0): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(EVENT_WORDS);
  words[0] = PAGEFAULT;
  words[4] = address;
  words[5] = address / 2 ** 32;
  words[6] = thread;
  return new Uint8Array(words.buffer);
}

/** Several threads may read one userfaultfd, each with a reader of its own; each event goes to one. */
export class FaultReader {
  readonly #fd: number;
  readonly #poll: Int32Array<ArrayBuffer>;
  readonly #events = new Uint32Array(FAULTS_PER_READ * EVENT_WORDS);

  /**
   * @param fd The descriptor, from this or another thread.
   * @param bell What ends a wait besides faults: an {@linkcode EventBell}'s descriptor.
   */
  constructor(fd: number, bell?: number) {
    this.#fd = fd;
    this.#poll = new Int32Array(bell === undefined ? 2 : 4);
    this.#poll[0] = fd;
    if (bell !== undefined) this.#poll[2] = bell;
  }

  /**
   * Blocks this thread until there are faults. Wait in short turns and look at a stop word between
   * them: a thread that is inside here cannot be terminated.
   * @param timeout In milliseconds; 0 only looks.
   * @returns How many faults {@linkcode address} now tells of; 0 when the time is over, the bell rang or
   * another thread was faster; minus an errno if the descriptor is no open userfaultfd.
   */
  wait(timeout: number): number {
    const library = libc();
    if (!library) return -Errno.ENOSYS;
    const count = this.#poll.length / 2;
    for (let i = 0; i < count; i++) this.#poll[2 * i + 1] = POLL_IN;
    const ready = library.poll(this.#poll, this.#poll.length === 2 ? 1n : 2n, timeout);
    if (ready < 0) return this.#nothing(failure());
    if (ready === 0 || this.#poll[1]! >>> 16 === 0) return 0;
    const bytes = library.read(this.#fd, this.#events, EVENTS_BYTES);
    if (bytes < 0) return this.#nothing(failure());
    return this.#keepFaults(bytes / (EVENT_WORDS * 4));
  }

  /** Where the fault was: the address of its page of the host. @param index Below what `wait` gave. */
  address(index: number): number {
    const at = index * EVENT_WORDS;
    return this.#events[at + 4]! + this.#events[at + 5]! * 2 ** 32;
  }

  /** Whether the thread wanted to write. @param index Below what `wait` gave. */
  isWrite(index: number): boolean {
    return (this.#events[index * EVENT_WORDS + 2]! & FLAG_WRITE) !== 0;
  }

  /**
   * The thread that waits, by the kernel's number, or 0 if the userfaultfd was opened without
   * `UffdFeature.threadId`. @param index Below what `wait` gave.
   */
  thread(index: number): number {
    return this.#events[index * EVENT_WORDS + 6]!;
  }

  #nothing(error: number): number {
    return error === -Errno.EAGAIN || error === -Errno.EINTR ? 0 : error;
  }

  /** Moves page faults to the front; other kinds of event were not asked for and are dropped. */
  #keepFaults(count: number): number {
    let kept = 0;
    for (let i = 0; i < count; i++) {
      if ((this.#events[i * EVENT_WORDS]! & 0xff) !== PAGEFAULT) continue;
      if (i !== kept) {
        this.#events.copyWithin(kept * EVENT_WORDS, i * EVENT_WORDS, (i + 1) * EVENT_WORDS);
      }
      kept++;
    }
    return kept;
  }
}

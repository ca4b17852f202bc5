/**
 * Reads and writes a socket with nothing in between: the thread blocks in the kernel for a moment, and goes on
 * as soon as there are bytes. That is for what somebody stands still for: a thread that comes back from its
 * event loop instead has them tens of microseconds later, at each end.
 *
 * @module
 */
import { Errno } from "./errno.ts";
import { failure, type Libc, libc } from "./libc.ts";

const POLL_IN = 1;
const POLL_OUT = 4;
/**
 * How long a thread that has just had bytes looks for more before it sleeps, in milliseconds: a page takes about a
 * third of that from one side to the other and the next request back. Waking it would take as long, and while one
 * side wakes the other falls asleep.
 */
const SPIN_MS = 0.2;
/** A peer that is gone is an error, not a signal. */
const NO_SIGNAL = 0x4000;

/** Words of `setsockopt` and `getsockopt`, as on all that Deno runs on (`socket(7)`, `tcp(7)`). */
const Option = { SOCKET: 1, SEND_BUFFER: 7, RECEIVE_BUFFER: 8, TCP: 6, TCP_INFO: 11 } as const;
/** How much of `struct tcp_info` is asked for, and where in it the least round trip is, in 32-bit words. */
const INFO_WORDS = 38;
const LEAST_ROUND_TRIP = 37;
/** What a short queue has at least, and what a queue may have in any case, in bytes. */
const QUEUE_MIN = 256 * 1024;
const QUEUE_MAX = 4 * 1024 ** 2;
/** How fast a network may be that such a queue still keeps busy, in bytes a microsecond. */
const FASTEST = 2500;

/** One descriptor; others may read and write it too, as long as they do not at the same time. */
export class PromptSocket {
  readonly #poll: Int32Array<ArrayBuffer>;
  /** Whether bytes came a moment ago, so that more are likely. */
  #follows = false;
  #length = 0;
  #size = 0n;

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
    if (this.#follows && timeout > 0) {
      const count = this.#spin(library, into);
      if (count !== -Errno.EAGAIN) return count;
    }
    this.#poll[1] = POLL_IN;
    const ready = library.poll(this.#poll, 1n, timeout);
    if (ready < 0) return failure();
    if (ready === 0) return -Errno.EAGAIN;
    this.#follows = true;
    return this.#readNow(library, into);
  }

  /** The length as the kernel is told it; who looks again and again has the same each time. */
  #sizeOf({ length }: Uint8Array): bigint {
    if (length !== this.#length) {
      this.#length = length;
      this.#size = BigInt(length);
    }
    return this.#size;
  }

  #readNow(library: Libc, into: Uint8Array): number {
    const count = library.read(this.fd, into as Uint8Array<ArrayBuffer>, this.#sizeOf(into));
    return count < 0 ? failure() : count;
  }

  /** Looks again and again, and lets others have the processor who need it. */
  #spin(library: Libc, into: Uint8Array): number {
    const until = performance.now() + SPIN_MS;
    do {
      const count = this.#readNow(library, into);
      if (count !== -Errno.EAGAIN) return count;
      library.sched_yield();
    } while (performance.now() < until);
    this.#follows = false;
    return -Errno.EAGAIN;
  }

  /**
   * Limits what the kernel holds of a TCP connection to what keeps the network busy: on a short way that is
   * little, and it can be megabytes, behind which other bytes wait.
   * @returns The limit in bytes; 0 if there is none, because the way is long or is no network.
   */
  keepQueueShort(): number {
    const library = libc();
    const info = new Uint32Array(INFO_WORDS);
    const size = new Uint32Array([info.byteLength]);
    if (library?.getsockopt(this.fd, Option.TCP, Option.TCP_INFO, info, size) !== 0) return 0;
    const queue = Math.max(QUEUE_MIN, info[LEAST_ROUND_TRIP]! * FASTEST);
    if (size[0] !== info.byteLength || queue > QUEUE_MAX) return 0;
    const limit = (option: number, bytes: number) =>
      library.setsockopt(this.fd, Option.SOCKET, option, new Int32Array([bytes]), 4);
    limit(Option.RECEIVE_BUFFER, queue);
    limit(Option.SEND_BUFFER, queue / 2);
    return queue;
  }

  /**
   * Writes what the kernel takes at once; blocks this thread while that is nothing.
   * @param timeout In milliseconds; 0 only tries.
   * @returns How many bytes, or minus an errno, EAGAIN if it took none in time.
   */
  write(bytes: Uint8Array, timeout: number): number {
    const library = libc();
    if (!library) return -Errno.ENOSYS;
    const count = this.#writeNow(library, bytes);
    if (count !== -Errno.EAGAIN || timeout === 0) return count;
    this.#poll[1] = POLL_OUT;
    const ready = library.poll(this.#poll, 1n, timeout);
    if (ready < 0) return failure();
    return ready === 0 ? -Errno.EAGAIN : this.#writeNow(library, bytes);
  }

  #writeNow(library: Libc, bytes: Uint8Array): number {
    const from = bytes as Uint8Array<ArrayBuffer>;
    const count = library.send(this.fd, from, this.#sizeOf(bytes), NO_SIGNAL);
    return count < 0 ? failure() : count;
  }
}

/**
 * A bell that ends another thread's `poll`: the kernel's event descriptor. What only that can do is to wake
 * a thread that waits for page faults (`fault_reader.ts`); everybody else has `Atomics.notify`.
 *
 * @module
 */
import { Errno } from "./errno.ts";
import { closeDescriptor, failure, libc } from "./libc.ts";

const CLOSE_ON_EXEC = 0o2000000;
const NON_BLOCKING = 0o4000;

/** A bell; every thread that knows its descriptor can ring it. */
export class EventBell {
  readonly #count = new BigUint64Array(1);

  /** @param fd What {@linkcode EventBell.create} opened, in this or another thread. */
  constructor(readonly fd: number) {}

  /** Makes a bell, or says why not with minus an errno. */
  static create(): EventBell | number {
    const library = libc();
    if (!library) return -Errno.ENOSYS;
    const fd = library.eventfd(0, CLOSE_ON_EXEC | NON_BLOCKING);
    return fd < 0 ? failure() : new EventBell(fd);
  }

  /** Rings: whoever polls the descriptor wakes, now or when it polls next. */
  ring(): void {
    this.#count[0] = 1n;
    libc()?.write(this.fd, this.#count, 8n);
  }

  /** Makes the bell silent again; whoever polls does it when it has woken. */
  clear(): void {
    libc()?.read(this.fd, this.#count, 8n);
  }

  /** Closes the descriptor; nobody may poll it any more. */
  close(): void {
    closeDescriptor(this.fd);
  }
}

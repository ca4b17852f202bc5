/**
 * userfaultfd: the kernel tells about, or lets us answer, accesses to ranges of this process's memory.
 * Two modes are used: `missing` (a thread that touches a page that is not there stops until someone
 * provides it) and `writeProtect` (the kernel notes which pages are written, `pagemap.ts` reads that).
 *
 * Descriptors are plain numbers and valid in every thread. Every function returns 0 or more if it
 * worked and minus an errno if the kernel refused (`errno.ts`); where there is no FFI, `-ENOSYS`.
 *
 * @module
 */
import { Errno } from "./errno.ts";
import { KernelStruct } from "./host_memory.ts";
import { closeDescriptor, failure, libc, systemCall } from "./libc.ts";

/** What the kernel is asked to be able to do, by its bit in the handshake. */
export const UffdFeature = {
  /** Write-protection of anonymous memory. */
  writeProtect: 1 << 0,
  /** Faults say which thread they are of (Linux 4.14). */
  threadId: 1 << 8,
  /** The kernel resolves write-protect faults itself and only keeps note of them (Linux 6.7). */
  writeProtectAsync: 1 << 15,
} as const;

/** What a range is registered for. */
export const UffdMode = { missing: 1, writeProtect: 2 } as const;

const API_VERSION = 0xaa;
const CLOSE_ON_EXEC = 0o2000000;
const NON_BLOCKING = 0o4000;
const USER_MODE_ONLY = 1;
const DONT_WAKE = 1;

const UFFDIO = {
  API: 0xc018aa3fn,
  REGISTER: 0xc020aa00n,
  UNREGISTER: 0x8010aa01n,
  WAKE: 0x8010aa02n,
  COPY: 0xc028aa03n,
  ZEROPAGE: 0xc020aa04n,
  WRITEPROTECT: 0xc018aa06n,
} as const;

/** The argument of every ioctl here; calls are synchronous, so one a thread is enough. */
const argument = new KernelStruct(5);

/** An open userfaultfd. */
export interface Userfaultfd {
  readonly fd: number;
  /**
   * Whether only accesses by the threads' own code are served. A system call that touches a missing
   * page (say, a file read into it) then fails with EFAULT instead of waiting.
   */
  readonly userModeOnly: boolean;
}

/** How {@linkcode openUserfaultfd} opens. */
export interface UserfaultfdOptions {
  /** The sum of {@linkcode UffdFeature} bits that are needed. @default {0} */
  readonly features?: number;
  /** Do not even try for faults of system calls, which needs privileges. @default {false} */
  readonly userModeOnly?: boolean;
}

/**
 * Opens a userfaultfd and agrees on its features; one for user-mode faults only where the process may
 * have no other.
 * @returns What was opened, or minus an errno: EPERM if it is forbidden, ENOSYS if the kernel has none,
 * EINVAL if it lacks a feature.
 */
export function openUserfaultfd(options: UserfaultfdOptions = {}): Userfaultfd | number {
  let userModeOnly = options.userModeOnly ?? false;
  let fd = create(userModeOnly);
  if (fd === -Errno.EPERM && !userModeOnly) {
    userModeOnly = true;
    fd = create(userModeOnly);
  }
  if (fd < 0) return fd;
  const agreed = control(fd, UFFDIO.API, argument.fill(API_VERSION, options.features ?? 0));
  if (agreed < 0) {
    closeDescriptor(fd);
    return agreed;
  }
  return { fd, userModeOnly };
}

/**
 * Puts a range under watch. Both ends must be multiples of the host's page.
 * @param mode A {@linkcode UffdMode}.
 * @returns 0, or minus an errno: EBUSY if another userfaultfd has it already.
 */
export function register(fd: number, address: number, length: number, mode: number): number {
  return control(fd, UFFDIO.REGISTER, argument.fill(address, length, mode));
}

/** Ends the watch over a range and wakes who waits in it. @returns 0 or minus an errno. */
export function unregister(fd: number, address: number, length: number): number {
  return control(fd, UFFDIO.UNREGISTER, argument.fill(address, length));
}

/**
 * Provides missing pages with content, all of a page at once, and wakes who waits for them.
 * @param to The address of the first page.
 * @param from The address of the bytes, in memory that is not missing itself (see `addressOf`).
 * @param length In bytes; whole pages of the host.
 * @param wake Whether to wake the waiting threads; otherwise a later {@linkcode wake} does.
 * @returns How many bytes were copied, fewer than `length` if interrupted, or minus an errno: EEXIST if
 * the first page is there already.
 */
export function copy(
  fd: number,
  to: number,
  from: number,
  length: number,
  wake = true,
): number {
  return provided(
    UFFDIO.COPY,
    fd,
    argument.fill(to, from, length, wake ? 0 : DONT_WAKE),
    length,
    4,
  );
}

/**
 * Provides missing pages as zeros, and wakes who waits for them.
 * @returns As {@linkcode copy}.
 */
export function zeroPage(fd: number, address: number, length: number, wake = true): number {
  return provided(
    UFFDIO.ZEROPAGE,
    fd,
    argument.fill(address, length, wake ? 0 : DONT_WAKE),
    length,
    3,
  );
}

/** Wakes the threads that wait in a range; they look again. @returns 0 or minus an errno. */
export function wake(fd: number, address: number, length: number): number {
  return control(fd, UFFDIO.WAKE, argument.fill(address, length));
}

/**
 * Protects a range against writing, or lifts that and wakes who waits to write.
 * @returns 0 or minus an errno.
 */
export function writeProtect(fd: number, address: number, length: number, on: boolean): number {
  return control(fd, UFFDIO.WRITEPROTECT, argument.fill(address, length, on ? 1 : 0));
}

/** Closes it: all its ranges are free again and all who waited run. */
export function closeUserfaultfd(fd: number): void {
  closeDescriptor(fd);
}

function create(userModeOnly: boolean): number {
  const flags = CLOSE_ON_EXEC | NON_BLOCKING | (userModeOnly ? USER_MODE_ONLY : 0);
  const call = systemCall("userfaultfd");
  const fd = libc()?.syscall(call, BigInt(flags), 0n, 0n, 0n, 0n, 0n) ?? -1n;
  return fd < 0n ? failure() : Number(fd);
}

function control(fd: number, request: bigint, struct: KernelStruct): number {
  const result = libc()?.ioctl(fd, request, struct.words) ?? -1;
  return result < 0 ? failure() : result;
}

/** An ioctl that says in a member of its argument how far it came before it stopped. */
function provided(
  request: bigint,
  fd: number,
  struct: KernelStruct,
  length: number,
  member: number,
): number {
  const result = control(fd, request, struct);
  if (result >= 0) return length;
  // Interrupted (EAGAIN) after some pages: the member is their size; otherwise minus the errno.
  const done = struct.get(member);
  return result === -Errno.EAGAIN && done > 0 && done < length ? done : result;
}

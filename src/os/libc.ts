/**
 * The C library, for what only the kernel can do. It is opened once a thread, when first asked for,
 * and only if `--allow-ffi` was given: asking never prompts and never throws, so a host without it is
 * an ordinary case.
 *
 * @module
 */
import { Errno } from "./errno.ts";

const FUNCTIONS = {
  syscall: {
    parameters: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"],
    result: "i64",
  },
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  // Of what these return, 32 bits are enough here, and no BigInt is made of them.
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  sched_yield: { parameters: [], result: "i32" },
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  madvise: { parameters: ["u64", "usize", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  getpagesize: { parameters: [], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions of the C library that this room uses. */
export type Libc = Deno.DynamicLibrary<typeof FUNCTIONS>["symbols"];

/** Numbers of system calls without a function in the C library, by `Deno.build.arch`. */
const SYSTEM_CALLS = {
  x86_64: { userfaultfd: 323n, gettid: 186n, sched_setattr: 314n, sched_getattr: 315n },
  aarch64: { userfaultfd: 282n, gettid: 178n, sched_setattr: 274n, sched_getattr: 275n },
} as const;

interface Opened {
  readonly libc: Libc;
  readonly errno: Deno.UnsafePointerView;
}

/** This thread's library, or why there is none; unset before the first question. */
let opened: Opened | string | undefined;

/** The C library, or `undefined` where {@linkcode libcProblem} says why. */
export function libc(): Libc | undefined {
  opened ??= open();
  return typeof opened === "string" ? undefined : opened.libc;
}

/** Why there is no C library, in words for the user; `undefined` if there is one. */
export function libcProblem(): string | undefined {
  opened ??= open();
  return typeof opened === "string" ? opened : undefined;
}

/** The number of a system call on this machine. */
export function systemCall(name: keyof typeof SYSTEM_CALLS.x86_64): bigint {
  return SYSTEM_CALLS[Deno.build.arch][name];
}

/** Minus the errno of this thread's last call; to be read before anything else is called. */
export function failure(): number {
  if (typeof opened !== "object") return -Errno.ENOSYS;
  return -opened.errno.getInt32();
}

/**
 * Opens a file read-only, closed on exec.
 * @returns Its descriptor, or minus an errno.
 */
export function openReadOnly(path: string): number {
  const READ_ONLY_CLOEXEC = 0o2000000;
  const fd = libc()?.open(new TextEncoder().encode(`${path}\0`), READ_ONLY_CLOEXEC) ?? -1;
  return fd < 0 ? failure() : fd;
}

/** Closes a descriptor that this room opened. */
export function closeDescriptor(fd: number): void {
  libc()?.close(fd);
}

function open(): Opened | string {
  const { os, arch } = Deno.build;
  if (os !== "linux") return `${os} has no userfaultfd`;
  if (!(arch in SYSTEM_CALLS)) return `system calls of ${arch} are not known`;
  // Only the permission as a whole allows pointers; one limited to a library opens it and no more.
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return "no --allow-ffi";
  try {
    const libc = Deno.dlopen("libc.so.6", FUNCTIONS).symbols;
    const location = libc.__errno_location();
    if (location === null) return "libc.so.6 has no errno";
    return { libc, errno: new Deno.UnsafePointerView(location) };
  } catch (error) {
    return `libc.so.6 does not open (${error instanceof Error ? error.message : error})`;
  }
}

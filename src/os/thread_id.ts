/**
 * How the kernel calls this thread: page faults say it of the thread that waits (`fault_reader.ts`).
 *
 * @module
 */
import { libc, systemCall } from "./libc.ts";

/** This thread's number, unique in the system while the thread lives; 0 without FFI. */
export function threadId(): number {
  const library = libc();
  if (!library) return 0;
  return Number(library.syscall(systemCall("gettid"), 0n, 0n, 0n, 0n, 0n, 0n));
}

/**
 * How long a thread may keep a processor at a time. One that needs it for microseconds only, but at once, can
 * say so: since Linux 6.12 the kernel then lets it interrupt those that compute for long. It gets no more of
 * the processor than before, and older kernels change nothing.
 *
 * @module
 */
import { libc, systemCall } from "./libc.ts";

/** `struct sched_attr` (`sched_setattr(2)`): its size, and where its 64-bit `sched_runtime` is. */
const ATTRIBUTES_BYTES = 56;
const RUNTIME_WORD = 6;
/** The shortest slice there is, in nanoseconds. */
const SHORTEST = 100_000;

/** Says of this thread that its work is short and urgent. @returns Whether the kernel took it. */
export function takeShortTurns(): boolean {
  const library = libc();
  if (!library) return false;
  const attributes = new Uint32Array(ATTRIBUTES_BYTES / 4);
  const address = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(attributes)));
  const call = (name: "sched_getattr" | "sched_setattr", size: bigint) =>
    library.syscall(systemCall(name), 0n, address, size, 0n, 0n, 0n) === 0n;
  if (!call("sched_getattr", BigInt(ATTRIBUTES_BYTES))) return false;
  attributes[RUNTIME_WORD] = SHORTEST;
  attributes[RUNTIME_WORD + 1] = 0;
  return call("sched_setattr", 0n);
}

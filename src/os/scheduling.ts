/**
 * How a thread shares the processors with others.
 *
 * @module
 */
import { libc, systemCall } from "./libc.ts";

/** `struct sched_attr` (`sched_setattr(2)`): its size, and where its members are, in 32-bit words. */
const ATTRIBUTES_BYTES = 56;
const Attribute = { NICE: 4, RUNTIME: 6 } as const;
/** The shortest slice there is, in nanoseconds. */
const SHORTEST = 100_000;
/** How much a thread stands back: it gets two thirds of what another one gets while both want a processor. */
const NICE = 2;

/**
 * Says of this thread that its work is short and urgent: since Linux 6.12 the kernel then lets it interrupt those
 * that compute for long. It gets no more of the processor than before, and older kernels change nothing.
 * @returns Whether the kernel took it.
 */
export function takeShortTurns(): boolean {
  return change((attributes) => {
    attributes[Attribute.RUNTIME] = SHORTEST;
    attributes[Attribute.RUNTIME + 1] = 0;
  });
}

/**
 * Says of this thread that others are waited for more than it is. It stays so: what a thread has given away it
 * may not take back.
 * @returns Whether the kernel took it.
 */
export function standBack(): boolean {
  return change((attributes) => {
    const nice = new Int32Array(attributes.buffer, 4 * Attribute.NICE, 1);
    nice[0] = Math.max(nice[0]!, NICE);
  });
}

function change(by: (attributes: Uint32Array<ArrayBuffer>) => void): boolean {
  const library = libc();
  if (!library) return false;
  const attributes = new Uint32Array(ATTRIBUTES_BYTES / 4);
  const address = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(attributes)));
  const call = (name: "sched_getattr" | "sched_setattr", size: bigint) =>
    library.syscall(systemCall(name), 0n, address, size, 0n, 0n, 0n) === 0n;
  if (!call("sched_getattr", BigInt(ATTRIBUTES_BYTES))) return false;
  by(attributes);
  return call("sched_setattr", 0n);
}

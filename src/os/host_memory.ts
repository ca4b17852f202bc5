/**
 * Where shared memory lies in this process, and numbers as the kernel's structures have them.
 * Addresses are plain numbers (a process has fewer than 2^53), the same in every thread.
 *
 * @module
 */
import { libc } from "./libc.ts";

/**
 * The address of a memory's first byte. It stays the same while the memory lives, also when it grows.
 * @param memory A shared memory, which the caller keeps alive for as long as it uses the address.
 * @returns The address, or `undefined` without FFI.
 * @throws {RangeError} If the memory is empty or not shared.
 */
export function addressOf(memory: WebAssembly.Memory): number | undefined {
  const { buffer } = memory;
  if (!(buffer instanceof SharedArrayBuffer) || buffer.byteLength === 0) {
    throw new RangeError("Only a shared memory that is not empty has a lasting address");
  }
  if (!libc()) return undefined;
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(new Uint8Array(buffer))));
}

/** The page of the host's kernel, in bytes; 4096 without FFI. */
export function hostPageSize(): number {
  return libc()?.getpagesize() ?? 4096;
}

/**
 * A structure of 64-bit members that is passed to the kernel, written as pairs of 32-bit words so
 * that no BigInt is made on the way.
 */
export class KernelStruct {
  /** What is passed to the kernel. */
  readonly words: Uint32Array<ArrayBuffer>;

  /** @param members How many 64-bit members it has. */
  constructor(members: number) {
    this.words = new Uint32Array(members * 2);
  }

  /** The member as an unsigned number. */
  get(member: number): number {
    return this.words[member * 2]! + this.words[member * 2 + 1]! * 2 ** 32;
  }

  /** Sets a member. @returns This structure. */
  set(member: number, value: number): this {
    this.words[member * 2] = value;
    this.words[member * 2 + 1] = value / 2 ** 32;
    return this;
  }

  /** Sets the first five members and clears the others. @returns This structure. */
  fill(first: number, second = 0, third = 0, fourth = 0, fifth = 0): this {
    this.words.fill(0);
    return this.set(0, first).set(1, second).set(2, third).set(3, fourth).set(4, fifth);
  }
}

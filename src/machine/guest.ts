/**
 * What runs on a machine, and what it can rely on.
 *
 * A guest is a `step()` that is called again and again. Between two steps, and only there, a vCPU can be
 * paused, throttled and moved to another process. So what a guest knows between two steps must be in
 * the machine's RAM, which travels as it is, or in what `save()` returns; and a step should take well
 * under a millisecond, because a migration's downtime begins with waiting for it.
 *
 * @module
 */
import type { RamBlock } from "./ram_block.ts";

/** A guest, as the `default` function of its module makes it. */
export interface Guest {
  /**
   * Does a little work. Nothing may be awaited here that may not come: the vCPU cannot be paused before
   * the promise is settled.
   * @returns For how many milliseconds there is nothing to do: the vCPU sleeps so long. Timers, messages
   * and I/O of a module guest go on meanwhile, and get a turn every few milliseconds in any case.
   */
  step(): void | number | Promise<void | number>;
  /** What the guest knows that is not in RAM; called between two steps. Without it, that is nothing. */
  save?(): Uint8Array;
  /**
   * Takes what `save()` returned in another process, before the first step. The RAM may not have arrived
   * yet: do not read it here, and never write it here.
   */
  load?(state: Uint8Array): void;
}

/** What a guest's module exports as `default`. */
export type GuestFactory = (context: GuestContext) => Guest | Promise<Guest>;

/** The machine as a guest sees it. */
export interface GuestContext {
  /** The blocks, by name. `ram.heap.view(0, ram.heap.length)` are the bytes of the block `heap`. */
  readonly ram: Readonly<Record<string, RamBlock>>;
  /** Which vCPU this is, from 0. */
  readonly index: number;
  /** How many vCPUs the machine has. */
  readonly vcpus: number;
  /** The machine's `guestOptions`, and over them the `key=value` of the guest's SPEC as strings. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Whether the guest goes on from a saved state: then what is in RAM must not be set up again. */
  readonly resumed: boolean;
  /** The other end of `machine.vcpus[index].port`. */
  readonly port: MessagePort;
  /** Milliseconds this vCPU has had: the time it was paused or slept for the throttle is not counted. */
  clock(): number;
  /**
   * Says that bytes have been written; call it after the write, in the same step. A machine whose dirty
   * log is `barrier` sends no other page again; otherwise this does nothing.
   * @param block One of `ram`.
   * @param offset In bytes from the block's start.
   * @param length In bytes.
   * @throws {RangeError} If the bytes are not inside the block.
   */
  markWritten(block: RamBlock, offset: number, length: number): void;
  /**
   * Waits until the pages of these bytes have arrived; call it before they are read or written. It
   * matters in postcopy on hosts without userfaultfd; otherwise this does nothing.
   * @param block One of `ram`.
   * @param offset In bytes from the block's start.
   * @param length In bytes.
   */
  ensurePresent(block: RamBlock, offset: number, length: number): void;
  /** Adds to the vCPU's count of pages written, for statistics. */
  countPages(pages: number): void;
}

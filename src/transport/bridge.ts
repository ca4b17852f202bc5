/**
 * The hand-off without descriptors: a connection stays on the thread that has it, which carries its bytes
 * between the kernel and two rings in shared memory. Slower by a copy and two wake-ups, but all of it
 * public API, and it serves what has no descriptor to hand over: vsock on the main thread, TLS on one of
 * its own.
 *
 * @module
 */
import { ConnectionLostError, StateError } from "../errors.ts";
import { ByteRing, createRing, RingSide } from "./byte_ring.ts";
import type { BridgeSpec, Channel, YieldingChannel } from "./channel.ts";
import { reasonOf } from "./os_error.ts";

/** Bytes each way that can be under way inside the process. */
const RING_BYTES = 1 << 20;

/** Most bytes of one read or write, so that the worker has some, or some room, meanwhile. */
const PIECE_MAX = RING_BYTES / 4;

/**
 * Begins to carry a connection's bytes; ends by itself when the worker has closed its channel.
 * @param channel The connection on this thread, which the bridge closes.
 * @param head What was already read from it.
 */
export function startBridge(channel: Channel, head: Uint8Array): BridgeSpec {
  const spec = bridgeSpec(channel.peer);
  carry(channel, spec.inbound, spec.outbound);
  return head.length === 0 ? spec : { ...spec, head };
}

/** Makes the rings of a bridge. @param peer What is on the other side. */
export function bridgeSpec(peer: string): BridgeSpec {
  return {
    kind: "bridge",
    peer,
    direction: "both",
    inbound: createRing(RING_BYTES),
    outbound: createRing(RING_BYTES),
  };
}

/**
 * Carries a connection's bytes, on the thread that has it.
 * @param channel The connection, which is closed in the end.
 * @param inbound The ring for what it receives.
 * @param outbound The ring of what it is to send.
 * @returns When the other end of the bridge is closed, and everything was sent that it wanted sent.
 */
export async function carry(
  channel: Channel,
  inbound: SharedArrayBuffer,
  outbound: SharedArrayBuffer,
): Promise<void> {
  await Promise.all([
    carryIn(channel, new ByteRing(inbound)),
    carryOut(channel, new ByteRing(outbound)),
    closeAfter(channel, new ByteRing(inbound), new ByteRing(outbound)),
  ]);
}

/**
 * Tells whoever is at the other end of a bridge that nothing is carried any more, unless it has ended.
 * @param reason Why, as the end of a sentence.
 */
export function abandonBridge(
  { inbound, outbound }: Pick<BridgeSpec, "inbound" | "outbound">,
  reason: string,
): void {
  const [received, sent] = [new ByteRing(inbound), new ByteRing(outbound)];
  if (received.writer === RingSide.OPEN) received.failWriter(reason);
  if (sent.reader === RingSide.OPEN) sent.failReader(reason);
}

async function carryIn(channel: Channel, ring: ByteRing): Promise<void> {
  try {
    while (ring.reader === RingSide.OPEN) {
      const room = ring.writable();
      if (room.length === 0) {
        await ring.until(() => ring.reader !== RingSide.OPEN || ring.writable().length > 0);
        continue;
      }
      const count = await channel.read(room.subarray(0, PIECE_MAX));
      if (count === 0) return ring.endWriter(RingSide.ENDED);
      ring.commit(count);
    }
  } catch (error) {
    ring.failWriter(reasonOf(error));
  }
}

async function carryOut(channel: Channel, ring: ByteRing): Promise<void> {
  try {
    for (;;) {
      await ring.until(() => ring.writer !== RingSide.OPEN || ring.length > 0);
      if (ring.writer === RingSide.FAILED) return;
      const bytes = ring.readable().subarray(0, PIECE_MAX);
      if (bytes.length === 0) break;
      await channel.write(bytes);
      ring.release(bytes.length);
    }
    await channel.shutdown();
    ring.endReader(RingSide.ENDED);
  } catch (error) {
    ring.failReader(reasonOf(error));
  }
}

/** Closes the connection when the worker wants nothing more of it, even while it stalls. */
async function closeAfter(channel: Channel, inbound: ByteRing, outbound: ByteRing): Promise<void> {
  await inbound.until(() => inbound.reader !== RingSide.OPEN);
  await outbound.until(() =>
    outbound.writer === RingSide.FAILED || outbound.reader !== RingSide.OPEN
  );
  channel.close();
}

/** The worker's end of a bridge. */
export class BridgeChannel implements YieldingChannel {
  readonly peer: string;
  readonly #inbound: ByteRing;
  readonly #outbound: ByteRing;
  #head: Uint8Array | undefined;
  /** The read that is pending. */
  #reading: symbol | undefined;
  #writing = false;
  #closed = false;
  #shutdown = false;

  /**
   * Opens it on this thread.
   * @param spec What {@linkcode startBridge} returned, or one direction of it.
   */
  constructor(private readonly spec: BridgeSpec) {
    this.peer = spec.peer;
    this.#head = spec.head;
    this.#inbound = new ByteRing(spec.inbound);
    this.#outbound = new ByteRing(spec.outbound);
  }

  async read(into: Uint8Array): Promise<number> {
    this.#use("read", this.#reading !== undefined, "write");
    if (into.length === 0) throw new RangeError("A read into no bytes");
    if (this.#head !== undefined) return this.#takeHead(this.#head, into);
    const ring = this.#inbound;
    const reading = this.#reading = Symbol();
    const over = () => this.#closed || this.#reading !== reading;
    await ring.until(() => over() || ring.length > 0 || ring.writer !== RingSide.OPEN);
    if (this.#closed) throw this.#lost();
    if (over()) throw new StateError(`A read on ${this.peer} was taken back`);
    this.#reading = undefined;
    const bytes = ring.readable();
    if (bytes.length === 0) {
      if (ring.writer === RingSide.FAILED) throw this.#lost(ring.writerReason);
      return 0;
    }
    const count = Math.min(bytes.length, into.length);
    into.set(bytes.subarray(0, count));
    ring.release(count);
    return count;
  }

  withdrawRead(): void {
    this.#reading = undefined;
    this.#inbound.release(0); // it looks again
  }

  #takeHead(head: Uint8Array, into: Uint8Array): number {
    const count = Math.min(head.length, into.length);
    into.set(head.subarray(0, count));
    this.#head = count < head.length ? head.subarray(count) : undefined;
    return count;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.writeGather([bytes]);
  }

  async writeGather(parts: readonly Uint8Array[]): Promise<void> {
    this.#use("write", this.#writing, "read");
    if (this.#shutdown) throw new StateError(`A write to ${this.peer} after its end`);
    this.#writing = true;
    try {
      for (const part of parts) {
        for (let at = 0; at < part.length;) at += await this.#copy(part, at);
      }
      // The kernel has the bytes when the main thread has given the ring back.
      await this.#writable(() => this.#outbound.length === 0);
    } finally {
      this.#writing = false;
    }
  }

  async #copy(part: Uint8Array, at: number): Promise<number> {
    await this.#writable(() => this.#outbound.writable().length > 0);
    const room = this.#outbound.writable();
    const piece = part.subarray(at, at + room.length);
    room.set(piece);
    this.#outbound.commit(piece.length);
    return piece.length;
  }

  async #writable(ready: () => boolean): Promise<void> {
    const ring = this.#outbound;
    const over = () => this.#closed || ring.reader === RingSide.FAILED;
    await ring.until(() => over() || ready());
    if (over()) throw this.#lost(ring.readerReason);
  }

  async shutdown(): Promise<void> {
    this.#use("shutdown", this.#writing, "read");
    this.#shutdown = true;
    this.#outbound.endWriter(RingSide.ENDED);
    await this.#writable(() => this.#outbound.reader === RingSide.ENDED);
  }

  close(): void {
    this.#closed = true;
    if (this.spec.direction !== "write") this.#inbound.endReader(RingSide.ENDED);
    if (this.spec.direction !== "read") this.#outbound.endWriter(RingSide.FAILED);
  }

  #use(operation: string, pending: boolean, only: "read" | "write"): void {
    if (pending) throw new StateError(`A ${operation} on ${this.peer} while another is pending`);
    if (this.spec.direction === only) {
      throw new StateError(`A ${operation} on ${this.peer}, which can only ${only}`);
    }
    if (this.#closed) throw this.#lost();
  }

  /** @param carrier What the thread that has the connection said. */
  #lost(carrier = ""): ConnectionLostError {
    const reason = this.#closed ? "it was closed on this side" : carrier;
    const lost = `Lost the connection to ${this.peer}`;
    return new ConnectionLostError(reason.startsWith(lost) ? reason : `${lost}: ${reason}`);
  }
}

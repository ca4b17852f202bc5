/**
 * What the worker of an outgoing main channel does: take jobs from its ring, encode pages as records and
 * copy bytes into one half of a buffer while the other half is being written. The buffer is all the
 * memory it has.
 *
 * @module
 */
import { GuestRam, type GuestRamLayout } from "../machine/guest_ram.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { JobKind, JobRing, type JobRingLayout } from "../threads/job_ring.ts";
import type { Channel, ChannelSpec } from "../transport/channel.ts";
import { RECORD_HEADER_MAX, RecordEncoder, type RecordEncoderOptions } from "./record_encoder.ts";

/** Half the sending buffer, in bytes. One write of this size reaches a socket's full speed. */
const HALF_SIZE = 1024 * 1024;
/** Where the first half begins: the encoder keeps a block's name below. */
const BUFFER_START = 4096;

/** How long a peer without a return path has to end its side, in milliseconds. */
const PEER_END_MS = 10_000;

/** What the loop works with. */
export interface SaveLoopInput {
  readonly ram: GuestRamLayout;
  readonly ring: JobRingLayout;
  /** Shared memory of {@linkcode ChannelCounters}. */
  readonly counters: SharedArrayBuffer;
  readonly encoder: RecordEncoderOptions;
}

/** What the worker is started with. */
export interface MainSendStart extends SaveLoopInput {
  /** The connection's writing half. */
  readonly channel: ChannelSpec;
}

/**
 * Runs until the END job was done or the ring was stopped.
 * @param channel The connection; it stays open.
 * @returns Whether everything up to END was written; `false` after a stop.
 */
export async function saveLoop(channel: Channel, input: SaveLoopInput): Promise<boolean> {
  return await new SaveLoop(channel, input).run();
}

/**
 * Ends this side of the connection. If nobody else listens to the other direction, waits for the peer to end
 * its side: it does when it has read everything, and when it has not, the connection breaks instead.
 * @param listens Whether another thread has the reading half.
 * @throws {ConnectionLostError} If the peer did not take everything.
 */
export async function endSending(channel: Channel, listens: boolean): Promise<void> {
  await channel.shutdown();
  if (listens) return;
  const ignored = new Uint8Array(4096);
  const timer = setTimeout(() => channel.close(), PEER_END_MS);
  const deadline = performance.now() + PEER_END_MS;
  try {
    while (await channel.read(ignored) > 0);
  } catch (error) {
    // A peer that keeps its side open has not said that it lacks anything.
    if (performance.now() < deadline) throw error;
  } finally {
    clearTimeout(timer);
  }
}

class SaveLoop {
  readonly #ram: GuestRam;
  readonly #ring: JobRing;
  readonly #counters: ChannelCounters;
  readonly #encoder: RecordEncoder;
  readonly #buffer: Uint8Array<ArrayBufferLike>;
  #half = BUFFER_START;
  #fill = BUFFER_START;
  #writing: Promise<void> | undefined;

  constructor(private readonly channel: Channel, input: SaveLoopInput) {
    this.#ram = new GuestRam(input.ram);
    this.#ring = new JobRing(input.ring);
    this.#counters = new ChannelCounters(input.counters);
    const pages = Math.ceil((BUFFER_START + 2 * HALF_SIZE) / 65536);
    const io = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.#buffer = new Uint8Array(io.buffer);
    this.#encoder = new RecordEncoder(this.#ram, io, input.encoder);
  }

  async run(): Promise<boolean> {
    const ring = this.#ring;
    while (!ring.stopped) {
      if (ring.pending === 0) {
        await this.#flush();
        await this.#written();
        const before = performance.now();
        ring.waitForJob();
        this.#counters.add("idleMs", performance.now() - before);
        continue;
      }
      switch (ring.kind) {
        case JobKind.BATCH:
          await this.#sendBatch();
          break;
        case JobKind.BYTES:
          await this.#sendBytes(ring.bytes());
          break;
        case JobKind.SYNC:
          await this.#flush();
          await this.#written();
          break;
        case JobKind.END:
          await this.#flush();
          await this.#written();
          ring.pop();
          return true;
      }
      ring.pop();
    }
    return false;
  }

  get #room(): number {
    return this.#half + HALF_SIZE - this.#fill;
  }

  async #sendBatch(): Promise<void> {
    const ring = this.#ring;
    const block = this.#ram.blocks[ring.block]!;
    const { normalPages, zeroPages, encodedPages, pageBytesMax } = this.#encoder;
    let bytes = 0;
    for (let run = 0; run < ring.runs; run++) {
      let first = ring.runFirst(run);
      let left = ring.runCount(run);
      while (left > 0) {
        const fits = Math.floor((this.#room - RECORD_HEADER_MAX) / pageBytesMax);
        if (fits <= 0) {
          await this.#flush();
          continue;
        }
        const pages = Math.min(fits, left);
        const end = this.#encoder.encodeRun(block, first, pages, this.#fill);
        bytes += end - this.#fill;
        this.#fill = end;
        first += pages;
        left -= pages;
      }
    }
    this.#counters.add("bytes", bytes);
    this.#counters.add("normalPages", this.#encoder.normalPages - normalPages);
    this.#counters.add("zeroPages", this.#encoder.zeroPages - zeroPages);
    this.#counters.add("encodedPages", this.#encoder.encodedPages - encodedPages);
  }

  async #sendBytes(bytes: Uint8Array): Promise<void> {
    // Bytes come between sections: a record after them names its block again.
    this.#encoder.forgetBlock();
    if (bytes.length > this.#room) await this.#flush();
    this.#buffer.set(bytes, this.#fill);
    this.#fill += bytes.length;
    this.#counters.add("bytes", bytes.length);
  }

  /** Starts writing the filled half, once the other one is written, and turns to that one. */
  async #flush(): Promise<void> {
    const length = this.#fill - this.#half;
    if (length === 0) return;
    await this.#written();
    this.#writing = this.channel.write(this.#buffer.subarray(this.#half, this.#fill));
    this.#writing.catch(() => {}); // it is looked at before the next write, and may fail earlier
    this.#counters.add("packets", 1);
    this.#half = this.#half === BUFFER_START ? BUFFER_START + HALF_SIZE : BUFFER_START;
    this.#fill = this.#half;
  }

  async #written(): Promise<void> {
    if (!this.#writing) return;
    const before = performance.now();
    const writing = this.#writing;
    this.#writing = undefined;
    await writing;
    this.#counters.add("waitMs", performance.now() - before);
  }
}

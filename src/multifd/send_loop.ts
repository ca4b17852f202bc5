/**
 * What the worker of a sending multifd channel does: take batches of page numbers from its ring, claim the
 * pages, pack and write them. The two buffers of its {@linkcode PacketWriter} are all the memory it has:
 * while one is being written the other is filled.
 *
 * @module
 */
import { claimPages } from "../batch/claim.ts";
import { GuestRam, type GuestRamLayout } from "../machine/guest_ram.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { BATCH_PAGES_MAX, JobKind, JobRing, type JobRingLayout } from "../threads/job_ring.ts";
import type { Channel, ChannelSpec } from "../transport/channel.ts";
import { PacketWriter, type PacketWriterOptions } from "./packet_writer.ts";

/** What the loop works with. */
export interface SendLoopInput extends PacketWriterOptions {
  readonly ram: GuestRamLayout;
  readonly ring: JobRingLayout;
  /** Shared memory of {@linkcode ChannelCounters}. */
  readonly counters: SharedArrayBuffer;
  /** One 64-bit number: how many packets all channels have made. */
  readonly packetNumbers: SharedArrayBuffer;
}

/** What the worker is started with. */
export interface MultifdSendStart extends SendLoopInput {
  readonly channel: ChannelSpec;
}

/** The worker's side of one sending channel. */
export class SendLoop {
  readonly #ram: GuestRam;
  readonly #ring: JobRing;
  readonly #counters: ChannelCounters;
  readonly #packets: PacketWriter;
  readonly #claimed = new Int32Array(2 * BATCH_PAGES_MAX);
  #writing: Promise<void> | undefined;

  /** @param channel The connection, already introduced; it stays open. */
  constructor(private readonly channel: Pick<Channel, "writeGather">, input: SendLoopInput) {
    this.#ram = new GuestRam(input.ram);
    this.#ring = new JobRing(input.ring);
    this.#counters = new ChannelCounters(input.counters);
    const numbers = new BigInt64Array(input.packetNumbers);
    const nextNumber = (count: number) => Number(Atomics.add(numbers, 0, BigInt(count)));
    this.#packets = new PacketWriter(this.#ram, input, nextNumber);
  }

  /**
   * Runs until the END job was done or the ring was stopped.
   * @returns Whether everything up to END was written; `false` after a stop.
   * @throws {ConnectionLostError} If the connection broke.
   */
  async run(): Promise<boolean> {
    try {
      return await this.#run();
    } finally {
      this.#packets.free();
    }
  }

  async #run(): Promise<boolean> {
    const ring = this.#ring;
    while (!ring.stopped) {
      if (ring.pending === 0) {
        // Nothing may be in flight while the thread sleeps.
        await this.#flush();
        await this.#written();
        if (ring.pending === 0) this.#waitForJob();
        continue;
      }
      switch (ring.kind) {
        case JobKind.BATCH:
          await this.#sendBatch();
          break;
        case JobKind.SYNC:
          this.#packets.addSync();
          await this.#flush();
          break;
        case JobKind.BYTES:
          throw new RangeError("A multifd channel carries nothing but packets");
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

  #waitForJob(): void {
    const before = performance.now();
    this.#ring.waitForJob();
    this.#counters.add("idleMs", performance.now() - before);
  }

  async #sendBatch(): Promise<void> {
    const ring = this.#ring;
    const block = this.#ram.blocks[ring.block]!;
    for (let run = 0; run < ring.runs; run++) {
      const runs = claimPages(block.dirty, ring.runFirst(run), ring.runCount(run), this.#claimed);
      for (let i = 0; i < runs; i++) {
        let first = this.#claimed[2 * i]!;
        for (let left = this.#claimed[2 * i + 1]!; left > 0;) {
          let added = this.#packets.addUntouched(block, first, left);
          if (added > 0) {
            if (this.#packets.full) await this.#flush();
          } else {
            added = this.#packets.add(block, first, left);
            if (added === 0) await this.#closePacket();
          }
          first += added;
          left -= added;
        }
      }
    }
    await this.#closePacket();
  }

  async #closePacket(): Promise<void> {
    await this.#packets.close();
    if (this.#packets.full) await this.#flush();
  }

  /** Starts writing what there is, once the write before is done. */
  async #flush(): Promise<void> {
    const parts = this.#packets.take();
    if (parts.length === 0) return;
    await this.#written();
    this.#writing = this.channel.writeGather(parts);
    // Whoever awaits it hears of a failure; until then it is not unhandled.
    this.#writing.catch(() => {});
    this.#count(parts);
  }

  #counted = { packets: 0, normalPages: 0, zeroPages: 0 };

  #count(parts: readonly Uint8Array[]): void {
    const { packets, normalPages, zeroPages } = this.#packets;
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    this.#counters.add("bytes", bytes);
    this.#counters.add("packets", packets - this.#counted.packets);
    this.#counters.add("normalPages", normalPages - this.#counted.normalPages);
    this.#counters.add("zeroPages", zeroPages - this.#counted.zeroPages);
    this.#counted = { packets, normalPages, zeroPages };
  }

  async #written(): Promise<void> {
    const writing = this.#writing;
    if (!writing) return;
    this.#writing = undefined;
    const before = performance.now();
    await writing;
    this.#counters.add("waitMs", performance.now() - before);
  }
}

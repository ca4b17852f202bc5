/**
 * The outgoing multifd channels as the main thread sees them: batches of page numbers go to whichever
 * channel has most room, and a worker each (`multifd/send_loop.ts`) sends them.
 *
 * @module
 */
import type { MigrationError } from "../errors.ts";
import type { DigestTableLayout } from "../dirty/digest_table.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { BatchSink, ChannelSync } from "../ram/save.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { BATCH_PAGES_MAX, JobKind, JobRing, type Progress } from "../threads/job_ring.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import { WorkerHandle } from "../threads/worker_handle.ts";
import type { ChannelSpec } from "../transport/channel.ts";
import type { MultifdDialect } from "./dialect.ts";
import type { MultifdCompression } from "./method.ts";
import type { MultifdSendStart } from "./send_loop.ts";

/** How many batches may wait on a channel: enough to hide a thread's wake-up, little enough to stop soon. */
const RING_SLOTS = 8;

/** The workers' module. */
export const MULTIFD_SEND = new URL("../../workers/multifd_send.ts", import.meta.url);

/** What the channels are made of. */
export interface MultifdSenderOptions {
  /** The connections, introduced, in the order of their numbers. */
  readonly channels: readonly ChannelSpec[];
  /** Whose pages are sent. */
  readonly ram: GuestRam;
  /** Is bumped by the workers after every job. */
  readonly progress: Progress;
  readonly dialect: MultifdDialect;
  /** Look for zero pages. Only where the dialect can list them. */
  readonly detectZero: boolean;
  readonly compression: MultifdCompression;
  /** Where the hash log wants the digests of what is sent. */
  readonly digests?: DigestTableLayout;
  /** Where there may be threads already. */
  readonly spares?: SpareWorkers | undefined;
  /** Told of the first failure of a channel or its worker. */
  readonly onFailure: (error: MigrationError) => void;
}

interface SendChannel {
  /** What messages call it. */
  readonly name: string;
  readonly ring: JobRing;
  readonly counters: ChannelCounters;
  /** Rejects if its worker could not be started. */
  readonly worker: Promise<WorkerHandle<MultifdSendStart>>;
  /** Whether its worker has started. */
  ready: boolean;
}

/** The sending side of all multifd channels. */
export class MultifdSender implements BatchSink, ChannelSync, AsyncDisposable {
  readonly batchPages = BATCH_PAGES_MAX;
  readonly eachSection: boolean;
  readonly #channels: readonly SendChannel[];
  readonly #progress: Progress;

  /** Starts the workers and gives them their connections; they take work as they come up. */
  constructor(options: MultifdSenderOptions) {
    this.eachSection = options.dialect.syncEachSection;
    this.#progress = options.progress;
    const packetNumbers = new SharedArrayBuffer(8);
    this.#channels = options.channels.map((channel, index) =>
      this.#start(options, channel, index, packetNumbers)
    );
  }

  /** The channels' counters, by their names. */
  get counters(): readonly { readonly name: string; readonly counters: ChannelCounters }[] {
    return this.#channels;
  }

  /** The names of the channels that have something to do. */
  get waitingFor(): readonly string[] {
    return this.#channels.filter(({ ring }) => ring.pending > 0).map(({ name }) => name);
  }

  /** Bytes given to the connections. */
  get passed(): number {
    return this.#channels.reduce((sum, { counters }) => sum + counters.get("bytes"), 0);
  }

  // ── BatchSink ─────────────────────────────────────────────────────────────────────────────────

  get channelSync(): ChannelSync {
    return this;
  }

  async ringWithRoom(check: () => void): Promise<JobRing> {
    for (;;) {
      const seen = this.#progress.count;
      check();
      const ring = this.#emptiest();
      if (ring) return ring;
      await this.#progress.changed(seen);
    }
  }

  get pending(): number {
    return this.#channels.reduce((sum, { ring }) => sum + ring.pending, 0);
  }

  async drained(check: () => void): Promise<void> {
    for (;;) {
      const seen = this.#progress.count;
      check();
      if (this.#channels.every(({ ring }) => ring.pending === 0)) return;
      await this.#progress.changed(seen);
    }
  }

  // ── ChannelSync ───────────────────────────────────────────────────────────────────────────────

  async sync(check: () => void): Promise<void> {
    await this.#mark(JobKind.SYNC, check);
  }

  /** Ends the channels once they have sent everything; {@linkcode MultifdSender.ended} says when. */
  async end(check: () => void): Promise<void> {
    await this.#mark(JobKind.END, check);
  }

  /** Resolves when every channel has sent everything and was ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#channels.map(async ({ worker }) => (await worker).ended));
  }

  /** Ends the workers and their connections at once, wherever they are. */
  async [Symbol.asyncDispose](): Promise<void> {
    const started = await Promise.allSettled(this.#channels.map(({ worker }) => worker));
    await Promise.all(
      started.map((each) => each.status === "fulfilled" ? each.value.stop() : undefined),
    );
  }

  async #mark(kind: typeof JobKind.SYNC | typeof JobKind.END, check: () => void): Promise<void> {
    for (const { ring } of this.#channels) {
      for (;;) {
        const seen = this.#progress.count;
        check();
        if (ring.free > 0) break;
        await this.#progress.changed(seen);
      }
      ring.pushMark(kind);
    }
  }

  /** The ring with most room, of a channel that has started if there is any. */
  #emptiest(): JobRing | undefined {
    let best: SendChannel | undefined;
    for (const channel of this.#channels) {
      if (!channel.ready || channel.ring.free === 0) continue;
      if (!best || channel.ring.free > best.ring.free) best = channel;
    }
    return best?.ring;
  }

  #start(
    options: MultifdSenderOptions,
    channel: ChannelSpec,
    index: number,
    packetNumbers: SharedArrayBuffer,
  ): SendChannel {
    const name = `multifd ${index}`;
    const ring = JobRing.create(RING_SLOTS, options.progress);
    const counters = new ChannelCounters();
    const worker = WorkerHandle.start<MultifdSendStart>({
      name,
      url: MULTIFD_SEND,
      spares: options.spares,
      start: {
        channel,
        ram: options.ram.layout,
        ring: ring.layout,
        counters: counters.buffer,
        packetNumbers,
        detectZero: options.detectZero,
        compression: options.compression,
        ...options.digests && { digests: options.digests },
      },
      interrupt: () => ring.stop(),
    });
    const started: SendChannel = { name, ring, counters, worker, ready: false };
    const fail = (error: MigrationError) => {
      options.onFailure(error.at({ channel: name }));
      options.progress.bump();
    };
    worker.then((handle) => {
      started.ready = true;
      options.progress.bump();
      handle.ended.catch(fail);
    }, fail);
    return started;
  }
}

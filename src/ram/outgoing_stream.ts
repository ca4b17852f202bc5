/**
 * The outgoing main channel as the main thread sees it: bytes and batches of pages go into a ring, and a
 * worker (`ram/save_loop.ts`) sends them in that order.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RunEncoderOptions } from "./run_encoder.ts";
import type { BatchSink } from "./save.ts";
import type { PostcopyInput } from "./postcopy_parts.ts";
import type { MainSendStart } from "./save_loop.ts";
import type { PageIndexLayout } from "./page_index.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { JOB_BYTES_MAX, JobKind, JobRing, type Progress } from "../threads/job_ring.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import { WorkerHandle } from "../threads/worker_handle.ts";
import type { ChannelSpec } from "../transport/channel.ts";
import { ByteWriter } from "../wire/byte_writer.ts";

/** The worker's module. */
export const MAIN_SEND = new URL("../../workers/main_send.ts", import.meta.url);

/** How many batches may wait: enough to hide a thread's wake-up, little enough to stop soon. */
const RING_SLOTS = 16;

/** Little enough that a command soon passes on a slow connection. */
const BATCH_PAGES = 128;

/** What an outgoing main channel is made of. */
export interface OutgoingStreamOptions {
  /** The connection's writing half. */
  readonly channel: ChannelSpec;
  /** Whose pages are sent. */
  readonly ram: GuestRam;
  /** Is bumped by the worker as it gets on. */
  readonly progress: Progress;
  /** What {@linkcode OutgoingStream.createRing} made, where another thread has to know it beforehand. */
  readonly ring?: JobRing | undefined;
  readonly encoder: RunEncoderOptions;
  /** Is filled with where in the stream each page's record stands. */
  readonly index?: PageIndexLayout | undefined;
  /** What there is to know for {@linkcode OutgoingStream.beginPostcopy}. */
  readonly postcopy?: PostcopyInput | undefined;
  /** Where there may be a thread already. */
  readonly spares?: SpareWorkers | undefined;
}

/** The sending side of the main channel. */
export class OutgoingStream implements AsyncDisposable, BatchSink {
  readonly batchPages = BATCH_PAGES;
  /** Headers, commands, device state: sent by {@linkcode OutgoingStream.flush}. */
  readonly writer = new ByteWriter(4096);
  /** Rejects when the connection or the worker failed; resolves after {@linkcode OutgoingStream.end}. */
  readonly ended: Promise<void>;
  #flushedTo: number;

  private constructor(
    readonly ring: JobRing,
    readonly counters: ChannelCounters,
    private readonly progress: Progress,
    private readonly worker: WorkerHandle<MainSendStart>,
    channel: ChannelSpec,
  ) {
    this.#flushedTo = channel.kind === "file" ? channel.offset : 0;
    this.ended = worker.ended;
    // Whoever waits for room must look again when there will never be any.
    this.ended.catch(() => progress.bump());
  }

  /** Makes the ring of a stream that is to be started. @param progress Is bumped as jobs are done. */
  static createRing(progress: Progress): JobRing {
    return JobRing.create(RING_SLOTS, progress);
  }

  /** Starts the worker and gives it the connection. */
  static async start(options: OutgoingStreamOptions): Promise<OutgoingStream> {
    const ring = options.ring ?? OutgoingStream.createRing(options.progress);
    const counters = new ChannelCounters();
    const worker = await WorkerHandle.start<MainSendStart>({
      name: "main channel",
      url: MAIN_SEND,
      spares: options.spares,
      start: {
        channel: options.channel,
        ram: options.ram.layout,
        ring: ring.layout,
        counters: counters.buffer,
        encoder: options.encoder,
        index: options.index,
        postcopy: options.postcopy,
      },
      interrupt: () => ring.stop(),
    });
    return new OutgoingStream(ring, counters, options.progress, worker, options.channel);
  }

  async ringWithRoom(check: () => void): Promise<JobRing> {
    for (;;) {
      const seen = this.progress.count;
      check();
      if (this.ring.free > 0) return this.ring;
      await this.progress.changed(seen);
    }
  }

  get pending(): number {
    return this.ring.pending;
  }

  /** Its name if it has something to do. */
  get waitingFor(): readonly string[] {
    return this.ring.pending > 0 ? ["main"] : [];
  }

  /** Bytes given to the connection. */
  get passed(): number {
    return this.counters.get("bytes");
  }

  /**
   * Waits until every job is done. What the jobs said is then sent or in the sending buffer.
   * @param check Throws when waiting has no point any more.
   */
  async drained(check: () => void): Promise<void> {
    for (;;) {
      const seen = this.progress.count;
      check();
      if (this.ring.pending === 0) return;
      await this.progress.changed(seen);
    }
  }

  /** Where in the file the next byte of {@linkcode OutgoingStream.writer} goes, if no batches go this way. */
  get position(): number {
    return this.#flushedTo + this.writer.length;
  }

  /** Goes on at another position of the file; what is behind the old one stays as it is. */
  async seek(position: number, check: () => void): Promise<void> {
    await this.flush(check);
    await this.ringWithRoom(check);
    this.ring.pushSeek(position);
    this.#flushedTo = position;
  }

  /** Hands over what {@linkcode OutgoingStream.writer} holds. */
  async flush(check: () => void): Promise<void> {
    const bytes = this.writer.take();
    this.#flushedTo += bytes.length;
    for (let at = 0; at < bytes.length; at += JOB_BYTES_MAX) {
      await this.ringWithRoom(check);
      this.ring.pushBytes(bytes.subarray(at, at + JOB_BYTES_MAX));
    }
  }

  /** As {@linkcode OutgoingStream.flush}, and waits until the connection has taken all of it. */
  async written(check: () => void): Promise<void> {
    await this.flush(check);
    await this.ringWithRoom(check);
    this.ring.pushMark(JobKind.SYNC);
    await this.drained(check);
  }

  /** From here on batches are sent as parts of the `ram` section, and requested pages ahead of them. */
  async beginPostcopy(check: () => void): Promise<void> {
    await this.flush(check);
    await this.ringWithRoom(check);
    this.ring.pushMark(JobKind.POSTCOPY);
  }

  /**
   * Sends everything and ends this side of the connection.
   * @throws {ConnectionLostError} If not all could be written.
   */
  async end(check: () => void): Promise<void> {
    await this.flush(check);
    await this.ringWithRoom(check);
    this.ring.pushMark(JobKind.END);
    await this.ended;
  }

  /** Ends the worker and its connection at once, wherever it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker.stop();
  }
}

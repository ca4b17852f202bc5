/**
 * Worker threads that share a work: a ring of jobs each, and who has a job gives it to the ring with most
 * room. They take jobs as they come up.
 *
 * @module
 */
import type { MigrationError } from "../errors.ts";
import { ChannelCounters } from "./channel_counters.ts";
import { JobKind, JobRing, type JobRingLayout, type Progress } from "./job_ring.ts";
import type { SpareWorkers } from "./spare_workers.ts";
import { WorkerHandle } from "./worker_handle.ts";

/** How many batches may wait on a ring: enough to hide a thread's wake-up, little enough to stop soon. */
const RING_SLOTS = 8;

/** What every such thread is started with. */
export interface JobThreadStart {
  readonly ring: JobRingLayout;
  /** Shared memory of {@linkcode ChannelCounters}. */
  readonly counters: SharedArrayBuffer;
}

/** What the threads are. */
export interface JobThreadsOptions<Start extends JobThreadStart> {
  /** What messages call each of them. */
  readonly names: readonly string[];
  /** Their module. */
  readonly url: URL;
  /** Is bumped as they get on. */
  readonly progress: Progress;
  /** Completes what one is started with. */
  readonly startOf: (own: JobThreadStart, index: number) => Start;
  /** Where there may be threads already. */
  readonly spares?: SpareWorkers | undefined;
  /** Told of the first failure of each. */
  readonly onFailure: (error: MigrationError) => void;
}

interface JobThread {
  readonly name: string;
  readonly ring: JobRing;
  readonly counters: ChannelCounters;
  /** Rejects if its worker could not be started. */
  readonly worker: Promise<WorkerHandle<JobThreadStart>>;
  /** Whether its worker has started. */
  ready: boolean;
}

/** Some threads as the one that gives them work sees them. */
export class JobThreads<Start extends JobThreadStart> implements AsyncDisposable {
  readonly #threads: readonly JobThread[];
  readonly #progress: Progress;

  /** Starts the threads. */
  constructor(options: JobThreadsOptions<Start>) {
    this.#progress = options.progress;
    this.#threads = options.names.map((name, index) => startThread(options, name, index));
  }

  /** The threads' counters, by their names. */
  get counters(): readonly { readonly name: string; readonly counters: ChannelCounters }[] {
    return this.#threads;
  }

  /** The names of those that have something to do. */
  get waitingFor(): readonly string[] {
    return this.#threads.filter(({ ring }) => ring.pending > 0).map(({ name }) => name);
  }

  /** Bytes that went through them. */
  get passed(): number {
    return this.#threads.reduce((sum, { counters }) => sum + counters.get("bytes"), 0);
  }

  /** Batches that were handed over and are not yet done. */
  get pending(): number {
    return this.#threads.reduce((sum, { ring }) => sum + ring.pending, 0);
  }

  /**
   * Waits for a ring with room.
   * @param check Throws when waiting has no point any more.
   */
  async ringWithRoom(check: () => void): Promise<JobRing> {
    for (;;) {
      const seen = this.#progress.count;
      check();
      const ring = this.#emptiest();
      if (ring) return ring;
      await this.#progress.changed(seen);
    }
  }

  /** Waits until there is nothing to do. */
  async drained(check: () => void): Promise<void> {
    for (;;) {
      const seen = this.#progress.count;
      check();
      if (this.#threads.every(({ ring }) => ring.pending === 0)) return;
      await this.#progress.changed(seen);
    }
  }

  /** Ends the threads once they have done everything; {@linkcode JobThreads.ended} says when. */
  async end(check: () => void): Promise<void> {
    await this.mark(JobKind.END, check);
  }

  /** Resolves when all have. */
  async ended(): Promise<void> {
    await Promise.all(this.#threads.map(async ({ worker }) => (await worker).ended));
  }

  /** Ends the threads at once, wherever they are. */
  async [Symbol.asyncDispose](): Promise<void> {
    const started = await Promise.allSettled(this.#threads.map(({ worker }) => worker));
    await Promise.all(
      started.map((each) => each.status === "fulfilled" ? each.value.stop() : undefined),
    );
  }

  /** Gives each of them a job without content. */
  protected async mark(
    kind: typeof JobKind.SYNC | typeof JobKind.END,
    check: () => void,
  ): Promise<void> {
    for (const { ring } of this.#threads) {
      for (;;) {
        const seen = this.#progress.count;
        check();
        if (ring.free > 0) break;
        await this.#progress.changed(seen);
      }
      ring.pushMark(kind);
    }
  }

  /** The ring with most room, of a thread that has started if there is any. */
  #emptiest(): JobRing | undefined {
    let best: JobThread | undefined;
    for (const thread of this.#threads) {
      if (!thread.ready || thread.ring.free === 0) continue;
      if (!best || thread.ring.free > best.ring.free) best = thread;
    }
    return best?.ring;
  }
}

function startThread<Start extends JobThreadStart>(
  options: JobThreadsOptions<Start>,
  name: string,
  index: number,
): JobThread {
  const ring = JobRing.create(RING_SLOTS, options.progress);
  const counters = new ChannelCounters();
  const worker = WorkerHandle.start<Start>({
    name,
    url: options.url,
    spares: options.spares,
    start: options.startOf({ ring: ring.layout, counters: counters.buffer }, index),
    interrupt: () => ring.stop(),
  });
  const thread: JobThread = { name, ring, counters, worker, ready: false };
  const fail = (error: MigrationError) => {
    options.onFailure(error.at({ channel: name }));
    options.progress.bump();
  };
  worker.then((handle) => {
    thread.ready = true;
    options.progress.bump();
    handle.ended.catch(fail);
  }, fail);
  return thread;
}

/**
 * The dirty log that needs nothing of host or guest: a thread compares a digest of every page with the
 * digest of what was last sent of it. It reads all of RAM for that, at memory speed.
 *
 * What counts is the digest of the bytes that were *sent*, noted by the sending threads
 * (`digest_recorder.ts`), not one of what RAM held at the last sync: a page that is written, sent, and
 * written back between two syncs has its old content again and yet is wrong at the destination.
 *
 * @module
 */
import { StateError, WorkerFailedError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { DigestTable, type DigestTableLayout } from "./digest_table.ts";
import type { DirtyLog } from "./dirty_log.ts";
import type { HashScanReply, HashScanRequest } from "./hash_scan.ts";
import { markUntouched } from "./untouched.ts";

/** The log that compares; senders must use its {@linkcode HashLog.digests}. */
export class HashLog implements DirtyLog {
  readonly kind = "hash";
  readonly #ram: GuestRam;
  readonly #table: DigestTable;
  /** Not 0 while a scan is to end early. */
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));
  #worker: Worker | undefined;
  /** The answer that is waited for. */
  #reply: PromiseWithResolvers<HashScanReply> | undefined;
  #failure: WorkerFailedError | undefined;

  /**
   * @param ram What to compare.
   * @throws {RangeError} If it has too many pages for a {@linkcode DigestTable}.
   */
  constructor(ram: GuestRam) {
    this.#ram = ram;
    this.#table = DigestTable.create(ram);
  }

  /** What each sending thread makes its `DigestRecorder` from. */
  get digests(): DigestTableLayout {
    return this.#table.layout;
  }

  async start(): Promise<void> {
    if (this.#worker) throw new StateError("The dirty log runs already");
    this.#table.clear();
    Atomics.store(this.#stop, 0, 0);
    this.#failure = undefined;
    this.#worker = this.#launch();
    try {
      await this.#ask(this.#worker, {
        ram: this.#ram.layout,
        digests: this.#table.layout,
        stop: this.#stop,
      });
      markUntouched(this.#ram);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async sync(): Promise<number> {
    const worker = this.#worker;
    if (!worker) throw new StateError("The dirty log does not run");
    const fresh = await this.#ask(worker, "scan");
    if (this.#worker !== worker) throw new StateError("The dirty log was stopped");
    return Number(fresh);
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    Atomics.store(this.#stop, 0, 1);
    // A busy worker cannot be terminated; it sees the stop word soon and is idle when it has answered.
    await this.#reply?.promise.catch(() => {});
    worker?.terminate();
  }

  #launch(): Worker {
    const url = new URL("../../workers/dirty_hash.ts", import.meta.url);
    const worker = new Worker(url, { type: "module", name: "dirty hash" });
    worker.onmessage = ({ data }: MessageEvent<HashScanReply>) => this.#reply?.resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#failure = new WorkerFailedError(`The dirty log's worker failed: ${event.message}`);
      this.#reply?.reject(this.#failure);
    };
    return worker;
  }

  async #ask(worker: Worker, request: HashScanRequest): Promise<HashScanReply> {
    if (this.#failure) throw this.#failure;
    if (this.#reply) throw new StateError("The dirty log is busy");
    this.#reply = Promise.withResolvers();
    try {
      worker.postMessage(request);
      return await this.#reply.promise;
    } finally {
      this.#reply = undefined;
    }
  }
}

/**
 * The return path as a source's main thread sees it: what the destination said, and waiting for it.
 *
 * @module
 */
import { ConnectionLostError, type MigrationError } from "../errors.ts";
import type { RunEncoderOptions } from "../ram/run_encoder.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { RequestQueue } from "../threads/request_queue.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import { WorkerHandle } from "../threads/worker_handle.ts";
import type { ChannelSpec } from "../transport/channel.ts";
import type { ReturnPathMessage } from "../wire/return_path.ts";
import type { ReturnPathStart } from "./return_path_loop.ts";

/** Told of what comes over the return path. */
export interface ReturnPathListener {
  /** A message came. */
  message(message: ReturnPathMessage): void;
  /** Nothing more will come: the destination closed its side, or the connection broke. */
  closed(error: MigrationError): void;
}

/** What the worker is told under way. */
export type ToReturnPath =
  /** Requests are answered over this connection from now on. */
  | {
    readonly kind: "preempt";
    readonly channel: ChannelSpec;
    readonly counters: SharedArrayBuffer;
    readonly encoder: RunEncoderOptions;
  }
  /** The preempt channel ends with a record that says so. */
  | { readonly kind: "end-preempt" };

/** What the worker says: messages of the destination, and that it has done what it was told. */
export type FromReturnPath = ReturnPathMessage | { readonly type: "DONE" };

/** The worker's module. */
export const RETURN_PATH = new URL("../../workers/return_path.ts", import.meta.url);

/** The return path of one connection. */
export class ReturnPath implements AsyncDisposable {
  /** What the preempt channel has sent. */
  readonly preemptCounters = new ChannelCounters();
  #worker: WorkerHandle<ReturnPathStart, ToReturnPath, FromReturnPath> | undefined;
  #done: PromiseWithResolvers<void> | undefined;
  #end: MigrationError | undefined;

  private constructor(private readonly listener: ReturnPathListener) {}

  /**
   * Starts the worker.
   * @param start The main connection's reading half, and what is needed for postcopy.
   * @param spares Where there may be a thread already.
   */
  static async start(
    start: ReturnPathStart,
    listener: ReturnPathListener,
    spares?: SpareWorkers,
  ): Promise<ReturnPath> {
    const path = new ReturnPath(listener);
    const requests = start.pages && new RequestQueue(start.pages.requests);
    const worker = await WorkerHandle.start<ReturnPathStart, ToReturnPath, FromReturnPath>({
      name: "return path",
      url: RETURN_PATH,
      spares,
      start,
      onMessage: (message) => path.#received(message),
      interrupt: () => requests?.end(),
    });
    path.#worker = worker;
    worker.ended.then(
      () => path.#closed(new ConnectionLostError("The destination closed the connection")),
      (error) => path.#closed(error),
    );
    return path;
  }

  /**
   * Has requests answered over a connection of their own.
   * @param channel The connection.
   * @param encoder How pages are encoded, and where they are.
   * @throws {MigrationError} If the return path has ended.
   */
  async usePreempt(channel: ChannelSpec, encoder: RunEncoderOptions): Promise<void> {
    const counters = this.preemptCounters.buffer;
    await this.#tell({ kind: "preempt", channel, counters, encoder });
  }

  /** Ends the preempt channel with the record that old QEMUs wait for. */
  async endPreempt(): Promise<void> {
    await this.#tell({ kind: "end-preempt" });
  }

  /** Ends the worker, its half of the connection and the preempt channel. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.stop();
  }

  async #tell(message: ToReturnPath): Promise<void> {
    if (this.#end) throw this.#end;
    this.#done = Promise.withResolvers();
    this.#worker!.post(message);
    await this.#done.promise;
  }

  #received(message: FromReturnPath): void {
    if (message.type === "DONE") this.#done?.resolve();
    else this.listener.message(message);
  }

  #closed(error: MigrationError): void {
    this.#end = error;
    this.#done?.promise.catch(() => {});
    this.#done?.reject(error);
    this.listener.closed(error);
  }
}

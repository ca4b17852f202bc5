/**
 * The return path as a source's main thread sees it: what the destination said, and waiting for it.
 *
 * @module
 */
import { ConnectionLostError, type MigrationError } from "../errors.ts";
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

/** The worker's module. */
export const RETURN_PATH = new URL("../../workers/return_path.ts", import.meta.url);

/** The return path of one connection. */
export class ReturnPath implements AsyncDisposable {
  private constructor(private readonly worker: WorkerHandle<ReturnPathStart>) {}

  /**
   * Starts the worker.
   * @param channel The main connection's reading half.
   * @param spares Where there may be a thread already.
   */
  static async start(
    channel: ChannelSpec,
    listener: ReturnPathListener,
    spares?: SpareWorkers,
  ): Promise<ReturnPath> {
    const worker = await WorkerHandle.start<ReturnPathStart, never, ReturnPathMessage>({
      name: "return path",
      url: RETURN_PATH,
      spares,
      start: { channel },
      onMessage: (message) => listener.message(message),
    });
    worker.ended.then(
      () => listener.closed(new ConnectionLostError("The destination closed the connection")),
      (error) => listener.closed(error),
    );
    return new ReturnPath(worker);
  }

  /** Ends the worker and its half of the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker.stop();
  }
}

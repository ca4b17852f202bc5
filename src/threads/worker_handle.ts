/**
 * A worker as the thread that starts it sees it: ready or failed, typed messages both ways, one error
 * whatever goes wrong, and an end that always comes.
 *
 * It is a `node:worker_threads` worker and not a Web Worker because that one never tells when it has
 * exited, and because a process waits forever at its end for a Web Worker whose code never returns.
 * Neither kind can be ended from outside while its code runs or blocks; so stopping first asks.
 *
 * @module
 */
import { Worker } from "node:worker_threads";
import { MigrationError, WorkerFailedError } from "../errors.ts";
import { fromPostedError } from "./posted_error.ts";
import type { SpareWorkers } from "./spare_workers.ts";
import type { FromWorker, ToWorker } from "./worker_port.ts";

/** How long a worker has to end by itself once it is asked to, in milliseconds. */
export const STOP_GRACE_MS = 1000;

/** A worker to be started. */
export interface WorkerOptions<Start, Out> {
  /** What messages call it: `vCPU 0`, `multifd 3`. */
  readonly name: string;
  /** Its module, which calls `serveWorker()`. */
  readonly url: URL;
  /** Where there may be one that was started already. */
  readonly spares?: SpareWorkers | undefined;
  /** What that module's function gets. */
  readonly start: Start;
  /** What of `start` is handed over instead of copied. */
  readonly transfer?: Transferable[];
  /** Gets the worker's messages; if it throws, the worker has failed. */
  readonly onMessage?: (message: Out) => void;
  /**
   * Makes a worker that blocks or computes look up: sets its stop word and notifies whom it blocks.
   * Called once, when the worker is to stop. A worker that only awaits messages needs none.
   */
  readonly interrupt?: () => void;
}

/** A running worker. `Start` is what it was given, `In` what it receives, `Out` what it posts. */
export class WorkerHandle<Start, In = never, Out = never> implements AsyncDisposable {
  /** What messages call it. */
  readonly name: string;
  /**
   * Resolves when the worker's function has returned or {@linkcode stop} was called; rejects with what
   * the worker threw if that is one of `errors.ts`, and otherwise with a {@linkcode WorkerFailedError}.
   */
  readonly ended: Promise<void>;
  readonly #worker: Worker;
  readonly #options: WorkerOptions<Start, Out>;
  readonly #ready = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<void>();
  #isOver = false;
  #stopped: Promise<void> | undefined;

  private constructor(options: WorkerOptions<Start, Out>) {
    this.name = options.name;
    this.ended = this.#over.promise;
    this.#options = options;
    // Who does not look at them must not be ended by them.
    this.#over.promise.catch(() => {});
    this.#ready.promise.catch(() => {});
    this.#worker = options.spares?.take(options.url) ?? new Worker(options.url);
    this.#worker.on("message", (message: FromWorker<Out>) => this.#receive(message));
    this.#worker.on("messageerror", (error: unknown) => this.#fail(error));
    this.#worker.on("error", (error: unknown) => this.#fail(error));
    this.#worker.on("exit", (code: number) => this.#exited(code));
  }

  /**
   * Starts a worker.
   * @returns When the worker has called `port.ready()`.
   * @throws {MigrationError} What the worker threw before that.
   * @throws {WorkerFailedError} If it could not be loaded or ended before it was ready.
   */
  static async start<Start, In = never, Out = never>(
    options: WorkerOptions<Start, Out>,
  ): Promise<WorkerHandle<Start, In, Out>> {
    const handle = new WorkerHandle<Start, In, Out>(options);
    try {
      handle.#send({ kind: "start", start: options.start }, options.transfer);
      await handle.#ready.promise;
    } catch (error) {
      await handle.stop();
      throw error;
    }
    return handle;
  }

  /** Sends a message; one to a worker that is over goes nowhere. */
  post(message: In, transfer?: Transferable[]): void {
    if (!this.#isOver) this.#send({ kind: "message", message }, transfer);
  }

  /**
   * Asks the worker to stop, waits for it, but not longer than {@linkcode STOP_GRACE_MS}, and ends it.
   * Code that did not return by then may run on until the process ends; it keeps no process alive.
   */
  stop(): Promise<void> {
    return this.#stopped ??= this.#stop();
  }

  /** As {@linkcode stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    if (!this.#isOver) {
      this.#options.interrupt?.();
      this.#send({ kind: "stop" });
      let timer: ReturnType<typeof setTimeout> | undefined;
      const patience = new Promise<void>((resolve) => timer = setTimeout(resolve, STOP_GRACE_MS));
      await Promise.race([this.ended.catch(() => {}), patience]);
      clearTimeout(timer);
      this.#end();
    }
    await this.#worker.terminate();
  }

  #send(message: ToWorker<Start, In>, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer as []);
  }

  #receive(message: FromWorker<Out>): void {
    if (this.#isOver) return;
    switch (message.kind) {
      case "loaded":
      case "rehearsed":
        return;
      case "ready":
        return this.#ready.resolve();
      case "message":
        try {
          return this.#options.onMessage?.(message.message);
        } catch (error) {
          return this.#fail(error);
        }
      case "ended":
        // Its thread is ended with stop(): that takes processor time, which now others may be waiting for.
        this.#worker.unref();
        return this.#end();
      case "failed":
        return this.#fail(fromPostedError(message.error));
    }
  }

  #exited(code: number): void {
    if (!this.#isOver) this.#fail(new Error(`It exited with code ${code}`));
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ready.reject(new WorkerFailedError(`Worker ${this.name} ended before it was ready`));
    this.#over.resolve();
  }

  #fail(thrown: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const cause = thrown instanceof Error ? thrown : new Error(String(thrown));
    const error = thrown instanceof MigrationError
      ? thrown
      : new WorkerFailedError(`Worker ${this.name} failed: ${cause.message}`, { cause });
    this.#ready.reject(error);
    this.#over.reject(error);
    void this.#worker.terminate();
  }
}

/**
 * Threads that are started before it is known what they will do: starting one takes some 20 ms, which is
 * as long as some migrations. They have loaded their module and wait for their start message.
 *
 * Each takes memory (7 MiB), so only who expects to need them keeps some, and disposes of the rest.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { Rehearsal, ToWorker } from "./worker_port.ts";

interface Kind {
  readonly url: URL;
  /** Started and not taken, and what says that nobody needs to wait for it. */
  readonly spares: Map<Worker, () => void>;
  /** How many are still to be started. */
  missing: number;
  readonly rehearsal: Rehearsal;
}

/** Some threads in reserve, by their modules. */
export class SpareWorkers implements AsyncDisposable {
  readonly #kinds = new Map<string, Kind>();
  readonly #loading = new Set<Promise<void>>();
  #starting: Promise<void> | undefined;
  #disposed = false;

  /**
   * Begins to start threads, one in each turn of the event loop, because starting one holds it up.
   * @param url Their module, which calls `serveWorker()`.
   * @param count How many of them there are to be in reserve.
   * @param rehearsal What they get ready for; what was said first counts.
   */
  prepare(url: URL, count: number, rehearsal: Rehearsal = "precopy"): void {
    let kind = this.#kinds.get(url.href);
    if (!kind) this.#kinds.set(url.href, kind = { url, spares: new Map(), missing: 0, rehearsal });
    kind.missing = Math.max(kind.missing, count - kind.spares.size);
    this.#starting ??= this.#startAll();
  }

  /** Waits until all are started, have loaded their module and have rehearsed. */
  async ready(): Promise<void> {
    // Threads in reserve keep no process alive, but who waits for them does.
    const waiting = setInterval(() => {}, 60_000);
    try {
      while (this.#starting) await this.#starting;
      await Promise.all(this.#loading);
    } finally {
      clearInterval(waiting);
    }
  }

  /** Takes a thread out of the reserve: it is the caller's then. `undefined` if there is none. */
  take(url: URL): Worker | undefined {
    const kind = this.#kinds.get(url.href);
    if (!kind) return undefined;
    const [spare] = kind.spares;
    if (!spare) {
      // The caller starts one itself.
      kind.missing = Math.max(0, kind.missing - 1);
      return undefined;
    }
    const [worker, started] = spare;
    kind.spares.delete(worker);
    worker.removeAllListeners();
    started();
    worker.ref();
    return worker;
  }

  /** Ends those that nobody took. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    await this.#starting;
    const kinds = [...this.#kinds.values()];
    this.#kinds.clear();
    await Promise.all(
      kinds.flatMap(({ spares }) => [...spares.keys()]).map((spare) => spare.terminate()),
    );
  }

  async #startAll(): Promise<void> {
    for (;;) {
      await setImmediate();
      const kind = [...this.#kinds.values()].find(({ missing }) => missing > 0);
      if (!kind || this.#disposed) break;
      kind.missing--;
      this.#start(kind);
    }
    this.#starting = undefined;
  }

  #start({ url, spares, rehearsal }: Kind): void {
    const worker = new Worker(url);
    const { promise, resolve } = Promise.withResolvers<void>();
    const loading = promise.finally(() => this.#loading.delete(loading));
    this.#loading.add(loading);
    spares.set(worker, resolve);
    // The first message says that the module is loaded; one that cannot be loaded is no reserve.
    worker.once("message", () => {
      const rehearse: ToWorker<never, never> = { kind: "rehearse", rehearsal };
      worker.postMessage(rehearse);
      worker.once("message", () => resolve());
    });
    const gone = () => {
      spares.delete(worker);
      resolve();
    };
    worker.once("error", gone);
    worker.once("exit", gone);
    worker.unref();
  }
}

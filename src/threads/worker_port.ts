/**
 * The inside of a worker: its start message, typed messages both ways, and one end for everything that
 * goes wrong in it. The outside is `worker_handle.ts`.
 *
 * @module
 */
import { parentPort } from "node:worker_threads";
import { type PostedError, toPostedError } from "./posted_error.ts";

/** What a thread in reserve gets ready for: `postcopy` besides what every migration does. */
export type Rehearsal = "precopy" | "postcopy";

/** Rehearses. @param isOver Whether there is no time any more: asked every few milliseconds. */
export type Rehearse = (rehearsal: Rehearsal, isOver: () => boolean) => Promise<unknown>;

/** What a worker's main thread posts to it. */
export type ToWorker<Start, In> =
  /** There is time: to be done before the start message, if ever. */
  | { readonly kind: "rehearse"; readonly rehearsal: Rehearsal }
  | { readonly kind: "start"; readonly start: Start }
  | { readonly kind: "message"; readonly message: In }
  | { readonly kind: "stop" };

/** What a worker posts. */
export type FromWorker<Out> =
  /** The module is there; the start message need not be. */
  | { readonly kind: "loaded" }
  | { readonly kind: "rehearsed" }
  | { readonly kind: "ready" }
  | { readonly kind: "message"; readonly message: Out }
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly error: PostedError };

/** How a worker's code talks to the thread that started it. */
export interface WorkerPort<In, Out> extends AsyncIterable<In> {
  /** Says that the worker is set up: `WorkerHandle.start()` resolves. */
  ready(): void;
  /** Sends a message. */
  post(message: Out, transfer?: Transferable[]): void;
  /** The next message, or `undefined` once the worker is asked to stop. */
  receive(): Promise<In | undefined>;
}

/**
 * Runs a worker's code: call it once, at the top of the worker's module. When `main` returns, the worker
 * has ended; when it throws, or anything in the worker throws unheard, the worker has failed.
 * @param main Gets what `WorkerHandle.start()` was given. A loop that blocks or computes must look at a
 * stop word of its own; one that awaits messages ends when there are no more.
 * @param rehearse What a thread that is started in reserve does, to be faster later.
 */
export function serveWorker<Start, In = never, Out = never>(
  main: (start: Start, port: WorkerPort<In, Out>) => void | Promise<void>,
  rehearse: Rehearse = () => Promise.resolve(),
): void {
  const outside = parentPort;
  if (!outside) throw new TypeError("Not in a worker");
  const send = (message: FromWorker<Out>, transfer: Transferable[] = []) =>
    outside.postMessage(message, transfer as []);
  const fail = (thrown: unknown) => send({ kind: "failed", error: toPostedError(thrown) });

  const queue: In[] = [];
  let started = false;
  let stopping = false;
  let wake: (() => void) | undefined;
  const receive = async (): Promise<In | undefined> => {
    while (queue.length === 0 && !stopping) await new Promise<void>((resolve) => wake = resolve);
    return stopping ? undefined : queue.shift();
  };
  const port: WorkerPort<In, Out> = {
    ready: () => send({ kind: "ready" }),
    post: (message, transfer) => send({ kind: "message", message }, transfer),
    receive,
    async *[Symbol.asyncIterator]() {
      for (let next = await receive(); next !== undefined; next = await receive()) yield next;
    },
  };

  send({ kind: "loaded" });
  outside.on("message", (message: ToWorker<Start, In>) => {
    if (message.kind === "rehearse") {
      Promise.try(rehearse, message.rehearsal, () => started || stopping).then(
        () => send({ kind: "rehearsed" }),
        fail,
      );
      return;
    }
    if (message.kind === "start") {
      started = true;
      Promise.try(main, message.start, port).then(() => send({ kind: "ended" }), fail);
      return;
    }
    if (message.kind === "stop") stopping = true;
    else queue.push(message.message);
    if (stopping && !started) send({ kind: "ended" });
    wake?.();
  });
  outside.on("messageerror", (error: unknown) => fail(error));
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    fail(event.error);
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    fail(event.reason);
  });
}

/**
 * The incoming main channel as the main thread sees it: a reader over the ring that a worker
 * (`ram/load_loop.ts`) fills, and a way to let that worker place pages.
 *
 * @module
 */
import { ConnectionLostError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type {
  FromMainReceive,
  MainReceiveStart,
  PostcopyLoading,
  ToMainReceive,
} from "./load_loop.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { fromPostedError } from "../threads/posted_error.ts";
import { SharedStream } from "../threads/shared_stream.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import { WorkerHandle } from "../threads/worker_handle.ts";
import type { ChannelSpec } from "../transport/channel.ts";
import { ByteReader } from "../wire/byte_reader.ts";

/** The worker's module. */
export const MAIN_RECEIVE = new URL("../../workers/main_receive.ts", import.meta.url);

/** The receiving side of the main channel. */
export class IncomingStream implements AsyncDisposable {
  /** Reads what is not a page. */
  readonly reader: ByteReader;
  readonly counters = new ChannelCounters();
  readonly #stream = SharedStream.create();
  #worker: WorkerHandle<MainReceiveStart, ToMainReceive, FromMainReceive> | undefined;
  #turn: PromiseWithResolvers<number> | undefined;
  #broken: Error | undefined;

  private constructor() {
    this.reader = new ByteReader(this.#stream);
  }

  /**
   * Starts the worker and gives it the connection.
   * @param channel Its reading half.
   * @param spares Where there may be a thread already.
   */
  static async start(channel: ChannelSpec, spares?: SpareWorkers): Promise<IncomingStream> {
    const incoming = new IncomingStream();
    incoming.#worker = await WorkerHandle.start<MainReceiveStart, ToMainReceive, FromMainReceive>({
      name: "main channel",
      url: MAIN_RECEIVE,
      spares,
      start: {
        channel,
        stream: incoming.#stream.layout,
        counters: incoming.counters.buffer,
      },
      onMessage: (message) => incoming.#received(message),
      interrupt: () => incoming.#stream.abandon(),
    });
    incoming.#worker.ended.catch((error) => incoming.#fail(error));
    return incoming;
  }

  /** Bytes received. */
  get received(): number {
    return this.counters.get("bytes");
  }

  /** Why the connection broke, if it did. */
  get broken(): Error | undefined {
    return this.#broken;
  }

  /** Says where pages go; before the first {@linkcode IncomingStream.loadPages}. */
  setRam(ram: GuestRam): void {
    this.#worker?.post({ kind: "ram", ram: ram.layout });
  }

  /** From the next {@linkcode IncomingStream.loadPages} on, pages are placed as in postcopy. */
  setPostcopy(postcopy: PostcopyLoading): void {
    this.#worker?.post({ kind: "postcopy", postcopy });
  }

  /**
   * Lets the worker place page records up to the first record that is none.
   * @param mayBeNone Whether there may be none. Then a worker has its turn before they come.
   * @throws {StreamFormatError | IncompatibleError} If a record is wrong.
   * @throws {ConnectionLostError} If the stream ends inside a record.
   */
  async loadPages(mayBeNone = false): Promise<void> {
    const from = this.#stream.position;
    this.#turn = Promise.withResolvers();
    this.#worker?.post({ kind: "turn", position: from });
    const position = await this.#turn.promise;
    this.#stream.takeTurn(position);
    if (position === from && !mayBeNone) {
      throw new ConnectionLostError("The stream ended inside a page", {
        place: { offset: position },
        cause: this.#broken,
      });
    }
  }

  /** Whoever reads sees the stream's end, whatever the source still sends. */
  abandon(): void {
    this.#stream.abandon();
  }

  /**
   * Gives the connection up: whoever reads, or waits for pages, sees that it was lost.
   * @param reason Why.
   */
  break(reason: Error): void {
    this.#fail(reason);
  }

  /** Ends the worker and its half of the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.stop();
  }

  #received(message: FromMainReceive): void {
    switch (message.kind) {
      case "turn-done":
        return this.#turn?.resolve(message.position);
      case "turn-failed":
        return this.#turn?.reject(fromPostedError(message.error));
      case "broken":
        this.#broken = fromPostedError(message.error);
    }
  }

  #fail(error: Error): void {
    this.#broken ??= error;
    this.#turn?.promise.catch(() => {});
    this.#turn?.reject(error);
    this.#stream.abandon();
  }
}

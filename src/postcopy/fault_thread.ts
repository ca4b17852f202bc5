/**
 * The fault thread as the main thread sees it (`fault_loop.ts`): what it is to send, and what it watches.
 *
 * @module
 */
import { type MigrationError, StateError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { EventBell } from "../os/event_bell.ts";
import type { MissingRamLayout } from "../ram/load_loop.ts";
import { fromPostedError } from "../threads/posted_error.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import { WorkerHandle } from "../threads/worker_handle.ts";
import type { ChannelSpec } from "../transport/channel.ts";
import { encodeReturnPathMessage, type ReturnPathMessage } from "../wire/return_path.ts";
import {
  type FaultStart,
  type FaultTask,
  FaultWord,
  type FromFault,
  type ToFault,
} from "./fault_loop.ts";

/** The worker's module. */
export const FAULT = new URL("../../workers/fault.ts", import.meta.url);

/** What {@linkcode FaultThread.start} gets. */
export interface FaultThreadOptions {
  /** The writing half of the main connection. */
  readonly channel: ChannelSpec;
  /** Where there may be a thread already. */
  readonly spares?: SpareWorkers;
  /** A request for a page could not be sent. */
  readonly onLost: (error: Error) => void;
  /** The thread failed: nobody asks for pages any more. */
  readonly onFailure: (error: MigrationError) => void;
}

/** The destination's end of the return path, in a thread of its own. */
export class FaultThread implements AsyncDisposable {
  readonly #words = new Int32Array(new SharedArrayBuffer(8));
  readonly #bell: EventBell | undefined;
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  #worker: WorkerHandle<FaultStart, ToFault, FromFault> | undefined;
  #count = 0;
  #over: MigrationError | undefined;

  private constructor(private readonly options: FaultThreadOptions) {
    const bell = EventBell.create();
    if (typeof bell !== "number") this.#bell = bell;
  }

  /** Starts the thread and gives it the connection. */
  static async start(options: FaultThreadOptions): Promise<FaultThread> {
    const thread = new FaultThread(options);
    await thread.#start();
    return thread;
  }

  async #start(): Promise<void> {
    const words = this.#words;
    this.#worker = await WorkerHandle.start<FaultStart, ToFault, FromFault>({
      name: "fault thread",
      url: FAULT,
      spares: this.options.spares,
      start: {
        channel: this.options.channel,
        words: words.buffer as SharedArrayBuffer,
        bell: this.#bell?.fd,
      },
      onMessage: (message) => this.#received(message),
      interrupt: () => {
        Atomics.store(words, FaultWord.STOP, 1);
        this.#bell?.ring();
      },
    });
    const over = (error: MigrationError) => {
      this.#over = error;
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    };
    this.#worker.ended.then(() => over(new StateError("The fault thread has ended")), (error) => {
      over(error);
      this.options.onFailure(error);
    });
  }

  /** Sends a message. @throws {ConnectionLostError} If the connection was lost. */
  async send(message: ReturnPathMessage): Promise<void> {
    await this.#ask({ kind: "send", bytes: encodeReturnPathMessage(message) });
  }

  /** From here on pages are asked for that somebody waits for. */
  async watch(missing: MissingRamLayout): Promise<void> {
    await this.#ask({ kind: "watch", missing });
  }

  /** Ends {@linkcode FaultThread.watch}: every page is there. */
  async unwatch(): Promise<void> {
    await this.#ask({ kind: "unwatch" });
  }

  /** Closes the connection at once; what is to be asked for is kept until there is another. */
  async hold(): Promise<void> {
    await this.#ask({ kind: "hold" });
  }

  /** Gives the thread a new connection; requests wait for {@linkcode FaultThread.resume}. */
  async setChannel(channel: ChannelSpec): Promise<void> {
    await this.#ask({ kind: "channel", channel });
  }

  /** Says which pages of a block have come. Nobody may place pages meanwhile. */
  async sendBitmap(ram: GuestRam, block: RamBlock): Promise<void> {
    await this.#ask({ kind: "bitmap", ram: ram.layout, block: block.index });
  }

  /** Accepts the recovery, and asks again for what was asked for and has not come. */
  async resume(): Promise<void> {
    await this.#ask({ kind: "resume" });
  }

  /** Tells the source that nothing follows. */
  async shutdown(): Promise<void> {
    await this.#ask({ kind: "shutdown" });
  }

  /** Closes the connection; what is being sent fails. */
  close(): void {
    this.hold().catch(() => {});
  }

  /** Ends the thread and its half of the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.stop();
    this.#bell?.close();
  }

  async #ask(task: FaultTask): Promise<void> {
    if (this.#over) throw this.#over;
    const id = ++this.#count;
    const answer = Promise.withResolvers<void>();
    this.#waiting.set(id, answer);
    this.#worker?.post({ id, task });
    Atomics.add(this.#words, FaultWord.POSTED, 1);
    this.#bell?.ring();
    await answer.promise;
  }

  #received(message: FromFault): void {
    if (message.kind === "lost") return this.options.onLost(fromPostedError(message.error));
    const answer = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.kind === "done") answer?.resolve();
    else answer?.reject(fromPostedError(message.error));
  }
}

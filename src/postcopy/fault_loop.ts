/**
 * What the fault thread of a destination does: it alone writes the return path, so that a page is asked
 * for without a detour (QEMU `migration/postcopy-ram.c`, `postcopy_ram_fault_thread`).
 *
 * Where the kernel tells of faults the thread blocks in it. So whoever posts a message counts it in shared
 * memory and rings a bell, and the thread lets its event loop go on until it has had them all.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { ConnectionLostError, MigrationError } from "../errors.ts";
import { GuestRam, type GuestRamLayout } from "../machine/guest_ram.ts";
import { errnoName } from "../os/errno.ts";
import { EventBell } from "../os/event_bell.ts";
import { takeShortTurns } from "../os/scheduling.ts";
import type { MissingRamLayout } from "../ram/load_loop.ts";
import { type PostedError, toPostedError } from "../threads/posted_error.ts";
import type { WorkerPort } from "../threads/worker_port.ts";
import type { Channel, ChannelSpec } from "../transport/channel.ts";
import { openChannel } from "../transport/open_channel.ts";
import { writePromptly } from "../transport/prompt.ts";
import { ByteWriter } from "../wire/byte_writer.ts";
import {
  encodeReturnPathMessage,
  RECV_BITMAP_END_MARK,
  RESUME_ACK_VALUE,
} from "../wire/return_path.ts";
import { AskedPages, FaultPages, type Missed } from "./missing_pages.ts";
import { PageRequests } from "./page_requests.ts";

/** How long the thread blocks at most, in milliseconds; the bell ends it earlier. */
const POLL_MS = 1000;

/** The words shared with the thread that posts. */
export const FaultWord = {
  /** How many messages were posted. */
  POSTED: 0,
  /** Not 0 once the thread is to end. */
  STOP: 1,
} as const;

/** What the thread is started with. */
export interface FaultStart {
  /** The writing half of the main connection. */
  readonly channel: ChannelSpec;
  /** {@linkcode FaultWord}s. */
  readonly words: SharedArrayBuffer;
  /** An {@linkcode EventBell}'s descriptor, where there can be one. */
  readonly bell: number | undefined;
}

/** What the thread is asked to do; each is answered when it is done. */
export type FaultTask =
  /** Send bytes as they are. */
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  /** Ask for pages from now on. */
  | { readonly kind: "watch"; readonly missing: MissingRamLayout }
  /** Send nothing more: the connection is lost. */
  | { readonly kind: "hold" }
  /** There is a new connection. */
  | { readonly kind: "channel"; readonly channel: ChannelSpec }
  /** Say which pages of a block have come. */
  | { readonly kind: "bitmap"; readonly ram: GuestRamLayout; readonly block: number }
  /** Accept the recovery, and ask again for what was asked for. */
  | { readonly kind: "resume" }
  /** Ask for no more pages. */
  | { readonly kind: "unwatch" }
  /** Tell the source that nothing follows. */
  | { readonly kind: "shutdown" };

/** What is posted to the thread. */
export interface ToFault {
  readonly id: number;
  readonly task: FaultTask;
}

/** What the thread posts. */
export type FromFault =
  | { readonly kind: "done"; readonly id: number }
  | { readonly kind: "refused"; readonly id: number; readonly error: PostedError }
  /** A request could not be sent. */
  | { readonly kind: "lost"; readonly error: PostedError };

/** The thread's side. */
export class FaultLoop {
  readonly #words: Int32Array;
  readonly #bell: EventBell | undefined;
  readonly #tasks: ToFault[] = [];
  #channel: Channel | undefined;
  #received = 0;
  #ended = false;
  #wake = () => {};
  #faults: FaultPages | undefined;
  #asked: AskedPages | undefined;
  #requests: PageRequests | undefined;
  /** Whether the source takes requests now. */
  #sending = false;
  readonly #missed: Missed = (block, page) => this.#requests!.add(block, page);

  /**
   * @param start What the thread was started with.
   * @param port Where tasks come from.
   */
  constructor(start: FaultStart, private readonly port: WorkerPort<ToFault, FromFault>) {
    this.#words = new Int32Array(start.words);
    this.#bell = start.bell === undefined ? undefined : new EventBell(start.bell);
    this.#channel = openChannel(start.channel);
  }

  /**
   * Runs until the thread is asked to stop.
   * @throws {MigrationError} If the kernel does not tell of faults any more.
   */
  async run(): Promise<void> {
    const receiving = this.#receive();
    try {
      while (!this.#ended) {
        const next = this.#tasks.shift();
        if (next) await this.#answer(next);
        else if (this.#faults) await this.#waitForFaults(this.#faults);
        else if (this.#asked) await this.#waitForGuests(this.#asked);
        else await new Promise<void>((resolve) => this.#wake = resolve);
      }
    } finally {
      this.#channel?.close();
    }
    await receiving;
  }

  async #receive(): Promise<void> {
    for await (const message of this.port) {
      this.#received++;
      this.#tasks.push(message);
      // A source that does not read must not keep us from giving the connection up.
      if (message.task.kind === "hold") this.#channel?.close();
      this.#wakeUp();
    }
    this.#ended = true;
    this.#channel?.close();
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake();
    this.#asked?.presence.ring();
  }

  async #answer({ id, task }: ToFault): Promise<void> {
    try {
      await this.#do(task);
      this.port.post({ kind: "done", id });
    } catch (error) {
      this.port.post({ kind: "refused", id, error: toPostedError(error) });
    }
  }

  async #do(task: FaultTask): Promise<void> {
    switch (task.kind) {
      case "send":
        return await this.#write([task.bytes]);
      case "watch":
        return this.#watch(task.missing);
      case "hold":
        this.#channel?.close();
        this.#channel = undefined;
        this.#sending = false;
        return;
      case "channel":
        this.#channel = openChannel(task.channel);
        return;
      case "bitmap":
        return await this.#sendBitmap(new GuestRam(task.ram), task.block);
      case "resume":
        return await this.#resume();
      case "unwatch":
        this.#faults = this.#asked = undefined;
        return;
      case "shutdown":
        return await this.#channel?.shutdown();
    }
  }

  #watch(missing: MissingRamLayout): void {
    const { userfaultfd } = missing;
    if (userfaultfd === undefined) this.#asked = new AskedPages(missing);
    else this.#faults = new FaultPages(missing, userfaultfd, this.#bell!.fd);
    this.#requests = new PageRequests(missing.ram.pageSize);
    this.#sending = true;
    takeShortTurns();
  }

  /** QEMU compares the size with its own: that of whole 64-bit words. */
  async #sendBitmap(ram: GuestRam, index: number): Promise<void> {
    const block = ram.blocks[index]!;
    const { words, pageCount } = block.received;
    const size = Math.ceil(pageCount / 64) * 8;
    const head = encodeReturnPathMessage({ type: "RECV_BITMAP", block: block.name });
    await this.#write([head, new ByteWriter(8).be64(size).take()]);
    await this.#write([new Uint8Array(words.buffer, words.byteOffset, size)]);
    await this.#write([new ByteWriter(8).be64(RECV_BITMAP_END_MARK).take()]);
  }

  async #resume(): Promise<void> {
    await this.#write([encodeReturnPathMessage({ type: "RESUME_ACK", value: RESUME_ACK_VALUE })]);
    const ram = (this.#faults ?? this.#asked)?.ram;
    if (ram) this.#requests?.addOutstanding(ram);
    this.#sending = true;
    await this.#sendRequests();
  }

  async #waitForFaults(faults: FaultPages): Promise<void> {
    while (!this.#isWanted) {
      const count = faults.wait(POLL_MS, this.#missed);
      if (count < 0) {
        throw new MigrationError(`The kernel does not tell of page faults (${errnoName(count)})`);
      }
      const sent = this.#sendRequests();
      if (!(typeof sent === "boolean" ? sent : await sent)) break;
    }
    this.#bell?.clear();
    do await setImmediate(); while (!this.#ended && this.#isWanted);
  }

  /** Whether there is a message that was not received, or the thread is to end. */
  get #isWanted(): boolean {
    return Atomics.load(this.#words, FaultWord.POSTED) !== this.#received ||
      Atomics.load(this.#words, FaultWord.STOP) !== 0;
  }

  async #waitForGuests(asked: AskedPages): Promise<void> {
    const seen = asked.presence.bell;
    asked.collect(this.#missed);
    if (await this.#sendRequests() || this.#tasks.length > 0 || this.#ended) return;
    await asked.presence.asked(seen);
  }

  /** Sends what is to be asked for. @returns Whether anything was sent; at once if that is known at once. */
  #sendRequests(): boolean | Promise<boolean> {
    if (!this.#sending) return false;
    const messages = this.#requests?.take();
    if (!messages) return false;
    if (!this.#channel) return this.#lost(noConnection());
    const writing = writePromptly(this.#channel, messages);
    return writing ? writing.then(() => true, (error) => this.#lost(error)) : true;
  }

  /** The connection does not work. What was to be asked for is asked for again after the recovery. */
  #lost(error: unknown): false {
    this.#sending = false;
    this.port.post({ kind: "lost", error: toPostedError(error) });
    return false;
  }

  async #write(parts: readonly Uint8Array[]): Promise<void> {
    if (!this.#channel) throw noConnection();
    await this.#channel.writeGather(parts);
  }
}

function noConnection(): ConnectionLostError {
  return new ConnectionLostError("There is no connection to the source");
}

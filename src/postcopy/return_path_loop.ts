/**
 * What the return-path worker of a source does: read the destination's messages. Pages that are asked for
 * it sees to by itself, what was received it notes, and of everything else it tells the main thread
 * (wire-format §3 and §8.6; QEMU `migration/migration.c`, `source_return_path_thread`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { GuestRam, type GuestRamLayout } from "../machine/guest_ram.ts";
import { hostPageUnit, type RamBlock } from "../machine/ram_block.ts";
import { takeShortTurns } from "../os/scheduling.ts";
import { JobRing, type JobRingLayout } from "../threads/job_ring.ts";
import type { Channel, ChannelSpec } from "../transport/channel.ts";
import { ChannelSource } from "../transport/channel_source.ts";
import { readPromptly } from "../transport/prompt.ts";
import { ByteReader } from "../wire/byte_reader.ts";
import {
  type PageRequest,
  readReturnPathMessage,
  type ReturnPathMessage,
  takePlainRequest,
} from "../wire/return_path.ts";
import { RequestQueue, type RequestQueueLayout } from "../threads/request_queue.ts";
import type { PreemptChannel } from "./preempt_channel.ts";
import { readReceivedBitmap } from "./received_bitmap.ts";

const NO_ROOM = new Uint8Array(0);

/** What the worker needs for postcopy. */
export interface ReturnPathPages {
  /** Whose pages may be asked for. */
  readonly ram: GuestRamLayout;
  /** Where requests go that the main channel answers. */
  readonly requests: RequestQueueLayout;
  /** The ring of the main channel's worker, which is woken for them. */
  readonly ring: JobRingLayout;
  /** Whether the destination says what it has received, before it asks for anything. */
  readonly recovering: boolean;
}

/** What the worker is started with. */
export interface ReturnPathStart {
  /** The main connection's reading half. */
  readonly channel: ChannelSpec;
  /** Without it, the destination has nothing to ask for. */
  readonly pages?: ReturnPathPages | undefined;
}

/** Reads one return path. */
export class ReturnPathLoop {
  /** Answers requests, once there is one. */
  preempt: PreemptChannel | undefined;
  readonly #source: ChannelSource;
  readonly #reader: ByteReader;
  readonly #ram: GuestRam | undefined;
  readonly #requests: RequestQueue | undefined;
  readonly #ring: JobRing | undefined;
  /** Whether the destination has asked for pages. */
  #isAsked = false;
  /** The block of the last request. */
  #block: RamBlock | undefined;

  /**
   * @param channel The connection; it stays open.
   * @param post Gets every message that the main thread has to know of.
   * @param window The most bytes that are read ahead; of requests one has 16.
   */
  constructor(
    channel: Channel,
    private readonly pages: ReturnPathPages | undefined,
    private readonly post: (message: ReturnPathMessage) => void,
    window?: number,
  ) {
    this.#source = new ChannelSource(channel, window);
    this.#reader = new ByteReader(this.#source);
    if (!pages) return;
    this.#ram = new GuestRam(pages.ram);
    this.#requests = new RequestQueue(pages.requests);
    this.#ring = new JobRing(pages.ring);
  }

  /**
   * Reads messages until the destination closes its side.
   * @throws {StreamFormatError} If a message is malformed, or asks for what there is not.
   * @throws {ConnectionLostError} If the connection breaks.
   */
  async run(): Promise<void> {
    for (;;) {
      if (this.#isAsked) await this.#answerPromptly();
      const message = await readReturnPathMessage(this.#reader);
      if (!message) return;
      switch (message.type) {
        case "REQ_PAGES":
          await this.#answer(message);
          break;
        case "RECV_BITMAP":
          await this.#noteReceived(message.block);
          this.post(message);
          break;
        default:
          this.post(message);
      }
    }
  }

  /**
   * Answers requests as promptly as can be, until something else comes or a part of a message:
   * a guest stands still until its page is there.
   */
  async #answerPromptly(): Promise<void> {
    const source = this.#source;
    const { prompt } = source;
    if (!prompt) return;
    const isOver = () => source.available > 0 || this.#requests!.isEnded;
    const room = () => isOver() ? NO_ROOM : source.room();
    await readPromptly(prompt, room, (count) => {
      source.filled(count);
      return this.#answerAll();
    });
  }

  /** Answers the requests that have come. @returns `undefined` if that is done. */
  #answerAll(): Promise<void> | undefined {
    for (let request; (request = takePlainRequest(this.#source)) !== undefined;) {
      const answering = this.#answer(request);
      if (answering) return answering.then(() => this.#answerAll());
    }
    return undefined;
  }

  /** Answers one. @returns `undefined` if that is done. */
  #answer({ block: name, start, length }: PageRequest): Promise<void> | undefined {
    if (!this.#isAsked) takeShortTurns();
    this.#isAsked = true;
    const requests = this.#requests;
    if (!requests?.isOpen) throw this.#refusal("The destination asked for pages before postcopy");
    const block = this.#block = name === undefined ? this.#block : this.#blockNamed(name);
    if (!block) throw this.#refusal("A request for pages of the block before, and there was none");
    const { pageSize } = this.#ram!;
    const hostPage = hostPageUnit(block, pageSize) * pageSize;
    const asked = () => `${length} bytes at 0x${start.toString(16)} of RAM block "${block.name}"`;
    if (length === 0 || start % hostPage !== 0 || length % hostPage !== 0) {
      throw this.#refusal(`A request for ${asked()}: not whole pages of ${hostPage} bytes`);
    }
    if (start + length > block.length) {
      throw this.#refusal(`A request for ${asked()}, which has ${block.length} bytes`);
    }
    const first = start / pageSize;
    const count = length / pageSize;
    requests.note(block.index, first + count);
    // What is not dirty is on its way or there.
    if (block.dirty.next(first, true, first + count) === first + count) return undefined;
    if (this.preempt) return this.preempt.send(block, first, count);
    const push = () => {
      requests.push(block.index, first, count);
      this.#ring!.wake();
    };
    if (!requests.hasRoom) return requests.room().then(push);
    push();
    return undefined;
  }

  async #noteReceived(name: string): Promise<void> {
    if (!this.pages?.recovering || this.#requests!.isOpen) {
      throw this.#refusal("The destination said what it has received, and nobody had asked");
    }
    await readReceivedBitmap(this.#reader, this.#blockNamed(name));
  }

  #blockNamed(name: string): RamBlock {
    const block = this.#ram?.block(name);
    if (!block) throw this.#refusal(`RAM block "${name}", which this machine does not have`);
    return block;
  }

  #refusal(what: string): StreamFormatError {
    return new StreamFormatError(what, {
      place: { channel: "return path", offset: this.#reader.position },
    });
  }
}

/**
 * What the worker of an incoming main channel does: fill the ring from the connection, and place page
 * records whenever the main thread hands it the turn.
 *
 * @module
 */
import { GuestRam, type GuestRamLayout } from "../machine/guest_ram.ts";
import { standBack, takeShortTurns } from "../os/scheduling.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { SharedStream, type SharedStreamLayout, StreamEnd } from "../threads/shared_stream.ts";
import type { PostedError } from "../threads/posted_error.ts";
import type { Channel, ChannelSpec } from "../transport/channel.ts";
import { isPrompt, readPromptly } from "../transport/prompt.ts";
import { RecordDecoder } from "./record_decoder.ts";
import type { DecoderPause } from "./record_head.ts";
import { SectionHop } from "./section_hop.ts";

const NO_ROOM = new Uint8Array(0);

/** What the loop works with. */
export interface LoadLoopInput {
  readonly stream: SharedStreamLayout;
  /** Shared memory of {@linkcode ChannelCounters}. */
  readonly counters: SharedArrayBuffer;
  /** The most that one read takes, in bytes. @default {256 KiB: larger reads only delay the decoding} */
  readonly readMax?: number;
}

/** What the worker is started with. */
export interface MainReceiveStart extends LoadLoopInput {
  /** The connection's reading half. */
  readonly channel: ChannelSpec;
}

/** What the main thread posts to the worker. */
export type ToMainReceive =
  /** Where pages go. */
  | { readonly kind: "ram"; readonly ram: GuestRamLayout }
  /** From the next turn on, the guest runs or will run soon. */
  | { readonly kind: "postcopy"; readonly postcopy: PostcopyLoading }
  /** Place pages from this position of the stream on. */
  | { readonly kind: "turn"; readonly position: number };

/** RAM that is missing in parts, as it is posted to the threads that fill it. */
export interface MissingRamLayout {
  readonly ram: GuestRamLayout;
  /** The userfaultfd that watches it, or `undefined` if guests ask for what they need. */
  readonly userfaultfd: number | undefined;
  /** The memory of the `Presence` of the machine that runs on it. */
  readonly presence: SharedArrayBuffer;
  /** The memory of its `Blocktime` (`postcopy/blocktime.ts`). */
  readonly blocktime: SharedArrayBuffer;
}

/** How pages are loaded in postcopy. */
export interface PostcopyLoading {
  /** The RAM as a guest misses it, or `undefined` if none runs: pages are placed as in precopy then. */
  readonly missing: MissingRamLayout | undefined;
  /** The id of the `ram` section; without one the channel has nothing but page records. */
  readonly sectionId: number | undefined;
  /** Whether pages that a guest waits for come over this channel: then nothing is to queue before them. */
  readonly isUrgent: boolean;
}

/** What the worker posts. */
export type FromMainReceive =
  | { readonly kind: "turn-done"; readonly position: number }
  | { readonly kind: "turn-failed"; readonly error: PostedError }
  /** The connection broke; the ring says so too, without the reason. */
  | { readonly kind: "broken"; readonly error: PostedError };

/** What places page records: as in precopy, or while the guest runs. */
export interface Decoder {
  readonly normalPages: number;
  readonly zeroPages: number;
  readonly encodedPages: number;
  advance(): DecoderPause;
}

/** Makes a {@linkcode Decoder} of a stream's records for RAM that a guest misses. */
export type OpenMissing = (missing: MissingRamLayout, stream: SharedStream) => Decoder;

/** The worker's side of one incoming main channel. */
export class LoadLoop {
  readonly #stream: SharedStream;
  readonly #counters: ChannelCounters;
  readonly #readMax: number;
  #decoder: Decoder | undefined;
  /** Whether a guest runs that waits for what comes. */
  #isAwaited = false;
  #hop: SectionHop | undefined;
  #turn: { resolve: (position: number) => void; reject: (error: unknown) => void } | undefined;

  /**
   * @param channel The connection; {@linkcode LoadLoop.stop} closes it.
   * @param input What it works with.
   * @param openMissing Makes what places pages while a guest runs.
   */
  constructor(
    private readonly channel: Channel,
    input: LoadLoopInput,
    private readonly openMissing: OpenMissing,
  ) {
    this.#stream = new SharedStream(input.stream);
    this.#counters = new ChannelCounters(input.counters);
    this.#readMax = input.readMax ?? 256 * 1024;
  }

  /** Says where pages go; before the first turn. */
  setRam(layout: GuestRamLayout): void {
    this.#decoder = new RecordDecoder(new GuestRam(layout), this.#stream);
  }

  /** Says that the guest runs or will run soon; between two turns. */
  setPostcopy({ missing, sectionId, isUrgent }: PostcopyLoading): void {
    if (sectionId !== undefined) this.#hop = new SectionHop(this.#stream, sectionId);
    if (!missing) return;
    this.#decoder = this.openMissing(missing, this.#stream);
    this.#isAwaited = true;
    const isMain = sectionId !== undefined;
    if (isUrgent && isPrompt(this.channel)) this.channel.keepQueueShort();
    if (isUrgent && !isMain) takeShortTurns();
    if (!isUrgent && isMain) standBack();
  }

  /** Ends {@linkcode LoadLoop.fill}, wherever it waits. */
  stop(): void {
    this.#stream.abandon();
    this.channel.close();
  }

  /**
   * Fills the ring until the connection ends.
   * @throws {ConnectionLostError} If it was broken; the ring says so too.
   */
  async fill(): Promise<void> {
    const stream = this.#stream;
    try {
      for (;;) {
        if (!await stream.waitForRoom()) return;
        if (this.#isAwaited && isPrompt(this.channel)) {
          // Who ends the thread says it there: it may hear no message for long.
          const isOver = () => stream.end !== StreamEnd.OPEN;
          const room = () => isOver() ? NO_ROOM : stream.room().subarray(0, this.#readMax);
          await readPromptly(this.channel, room, (count) => this.#filled(count));
          if (!await stream.waitForRoom()) return;
        }
        const room = stream.room();
        const before = performance.now();
        const count = await this.channel.read(room.subarray(0, this.#readMax));
        this.#counters.add("waitMs", performance.now() - before);
        if (count === 0) break;
        this.#filled(count);
      }
      stream.finish(StreamEnd.CLOSED);
      this.#advance();
    } catch (error) {
      stream.finish(StreamEnd.FAILED);
      this.#turn?.reject(error);
      this.#turn = undefined;
      throw error;
    }
  }

  #filled(count: number): void {
    this.#counters.add("bytes", count);
    this.#stream.filled(count);
    this.#advance();
  }

  /**
   * Places page records until one that is none.
   * @param position Where in the stream this thread takes over.
   * @returns Where it stopped: at a record of another kind, or at the end of the stream.
   */
  takeTurn(position: number): Promise<number> {
    this.#stream.takeTurn(position);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#turn = { resolve, reject };
    this.#advance();
    return promise;
  }

  #advance(): void {
    const turn = this.#turn;
    const decoder = this.#decoder;
    if (!turn) return;
    try {
      if (!decoder) throw new RangeError("Pages before the machine's RAM is known");
      const { normalPages, zeroPages, encodedPages } = decoder;
      const ended = this.#stream.end !== StreamEnd.OPEN;
      const pause = this.#decode(decoder);
      this.#counters.add("normalPages", decoder.normalPages - normalPages);
      this.#counters.add("zeroPages", decoder.zeroPages - zeroPages);
      this.#counters.add("encodedPages", decoder.encodedPages - encodedPages);
      if (pause === "more" && !ended) return;
      this.#turn = undefined;
      turn.resolve(this.#stream.position);
    } catch (error) {
      this.#turn = undefined;
      turn.reject(error);
    }
  }

  #decode(decoder: Decoder): DecoderPause {
    for (;;) {
      const pause = decoder.advance();
      if (pause === "more" || !this.#hop) return pause;
      const hop = this.#hop.pass();
      if (hop !== "passed") return hop;
    }
  }
}

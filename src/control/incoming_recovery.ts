/**
 * The connections of a destination in postcopy: the first ones, and after each loss new ones (wire-format
 * §8.8 and §8.9; QEMU `migration/savevm.c`, `postcopy_pause_incoming`).
 *
 * @module
 */
import { ConnectionLostError, StateError, StreamFormatError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { FaultThread } from "../postcopy/fault_thread.ts";
import { IncomingStream } from "../ram/incoming_stream.ts";
import type { PostcopyLoading } from "../ram/load_loop.ts";
import { RAM_FLAGS_MASK, RamFlag } from "../ram/flags.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import type { Listener } from "../transport/listener.ts";
import type { MigrationUri } from "../transport/uri.ts";
import type { IncomingOptions } from "./incoming_options.ts";
import { requireMultiChannel } from "./multi_channel.ts";

/** How long the preempt channel may take once everything else is there, in milliseconds. */
const PREEMPT_TIMEOUT_MS = 30_000;
/** How long a source that has connected may take to begin a recovery, in milliseconds. */
const BEGINNING_TIMEOUT_MS = 30_000;

/** What {@linkcode PostcopyChannels} is made of. */
export interface PostcopyChannelsOptions {
  /** What the migration was told: among it, how long a source may take for channels, and to begin. */
  readonly settings: Pick<
    IncomingOptions,
    "channelsTimeout" | "beginningTimeout" | "wantedFaults"
  >;
  /** The main channel of the beginning. */
  readonly stream: IncomingStream;
  /** The return path's thread. */
  readonly faults: FaultThread;
  /** The preempt channel of the beginning, which may come late; `undefined` if there is none. */
  readonly preempt: Promise<Endpoint> | undefined;
  /** Listens for a source again. */
  readonly listen: (uri: MigrationUri, signal: AbortSignal) => Promise<Listener>;
  readonly spares: SpareWorkers;
  /** The main channel is another one now. */
  readonly onStream: (stream: IncomingStream) => void;
}

/** The connections of now. */
export class PostcopyChannels implements AsyncDisposable {
  readonly #abort = new AbortController();
  #stream: IncomingStream;
  #endpoints: Endpoint[] = [];
  #preemptEndpoint: Promise<Endpoint> | undefined;
  #preempt: IncomingStream | undefined;
  /** The preempt channel's arrival and start after a recovery. */
  #preemptComing: Promise<void> | undefined;
  #preemptLost: PromiseWithResolvers<never> = Promise.withResolvers();
  #loading: { readonly ram: GuestRam; readonly postcopy: PostcopyLoading } | undefined;
  #listener: Listener | undefined;
  /** Why all channels were given up the last time. */
  #reason: Error | undefined;
  #recovered = Promise.withResolvers<IncomingStream>();
  #beginning: ReturnType<typeof setTimeout> | undefined;
  #accepted = false;
  #ended = false;

  /** @param options The connections of the beginning. */
  constructor(private readonly options: PostcopyChannelsOptions) {
    this.#stream = options.stream;
    this.#preemptEndpoint = options.preempt;
    this.#preemptEndpoint?.catch(() => {});
    this.#preemptLost.promise.catch(() => {});
    this.#recovered.promise.catch(() => {});
  }

  /** The main channel of now. */
  get stream(): IncomingStream {
    return this.#stream;
  }

  /** Whether pages may come on another channel than the main one. */
  get hasPreempt(): boolean {
    return this.options.preempt !== undefined;
  }

  /** Waits for the preempt channel, if there is to be one. @throws {ConnectionLostError} If it does not come. */
  async waitForPreempt(): Promise<void> {
    if (!this.#preemptEndpoint) return;
    const { channelsTimeout = PREEMPT_TIMEOUT_MS } = this.options.settings;
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(
        new ConnectionLostError(
          `The source did not open the preempt channel within ${channelsTimeout} ms`,
          { advice: "Give both sides the same postcopy-preempt." },
        ),
      );
    }, channelsTimeout);
    try {
      await Promise.race([this.#preemptEndpoint, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** From here on pages are placed as in postcopy, on all channels. */
  async setPostcopy(ram: GuestRam, loading: Omit<PostcopyLoading, "isUrgent">): Promise<void> {
    const postcopy = { ...loading, isUrgent: !this.options.preempt };
    this.#loading = { ram, postcopy };
    this.#stream.setPostcopy(postcopy);
    if (this.#preemptEndpoint) await this.#startPreempt(await this.#preemptEndpoint);
  }

  /** Waits for what the main channel brings, but not beyond the loss of the other one. */
  async alongside<T>(main: Promise<T>): Promise<T> {
    main.catch(() => {}); // when the other one was lost first
    return await Promise.race([main, this.#preemptLost.promise]);
  }

  /** Makes whoever reads from the channels see that they were lost. */
  break(reason: Error): void {
    this.#reason = reason;
    this.#stream.break(reason);
    this.#preempt?.break(reason);
    this.#preemptLost.reject(reason);
  }

  /** Closes all channels: after it nobody places a page. */
  async close(reason: Error): Promise<void> {
    clearTimeout(this.#beginning);
    this.break(reason);
    await this.options.faults.hold();
    await Promise.allSettled([this.#stream[Symbol.asyncDispose](), this.endPreempt()]);
    await Promise.allSettled(this.#endpoints.map((endpoint) => endpoint.close()));
    this.#endpoints = [];
    this.#listener =
      this.#preempt =
      this.#preemptEndpoint =
      this.#preemptComing =
        undefined;
    this.#preemptLost = Promise.withResolvers();
    this.#preemptLost.promise.catch(() => {});
    this.#recovered = Promise.withResolvers();
    this.#recovered.promise.catch(() => {});
    this.#accepted = false;
  }

  /** The main channel of the next recovery, once a source has connected. */
  async recovered(): Promise<IncomingStream> {
    return await this.#recovered.promise;
  }

  /**
   * Listens for a source that recovers; in place of where it listened before.
   * @returns Where.
   */
  async listen(uri: MigrationUri): Promise<MigrationUri> {
    if (this.#accepted) throw new StateError("A source has connected to recover just now");
    if (this.options.preempt) requireMultiChannel(uri, "postcopy-preempt");
    await this.#listener?.close();
    this.#listener = undefined;
    const listener = await this.options.listen(uri, this.#abort.signal);
    if (this.#ended) {
      await listener.close();
      throw new StateError("The migration is over");
    }
    this.#listener = listener;
    this.#accept(listener).catch(() => {}); // who is not a source leaves the migration paused
    return listener.uri;
  }

  /** The source has begun to recover: its preempt channel comes now. */
  resumed(): void {
    clearTimeout(this.#beginning);
    const listener = this.#listener;
    if (!listener || !this.options.preempt) return;
    const { reject } = this.#preemptLost;
    this.#preemptComing = this.#acceptPreempt(listener).catch(reject);
  }

  /** Every page has come: the source ends its preempt channel, or leaves that to this side. */
  async endPreempt(): Promise<void> {
    await this.#listener?.close();
    await this.#preemptComing;
    await this.#preempt?.[Symbol.asyncDispose]();
  }

  /** Ends everything at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#abort.abort();
    clearTimeout(this.#beginning);
    await Promise.allSettled([this.#stream[Symbol.asyncDispose](), this.endPreempt()]);
    const early = await Promise.race([this.#preemptEndpoint, undefined]).catch(() => undefined);
    await Promise.allSettled([...this.#endpoints, early].map((endpoint) => endpoint?.close()));
  }

  async #accept(listener: Listener): Promise<void> {
    const main = await listener.accept({ signal: this.#abort.signal });
    if (!main) return;
    if (main.direction !== "both") return await main.close();
    this.#accepted = true;
    if (!this.options.preempt) await listener.close();
    this.#endpoints.push(main);
    const { read, write } = main.handOffHalves();
    const { ram, postcopy } = this.#loading!;
    this.#stream = await IncomingStream.start(read, this.options.spares);
    this.#stream.setRam(ram);
    this.#stream.setPostcopy(postcopy);
    this.options.onStream(this.#stream);
    await this.options.faults.setChannel(write);
    const { beginningTimeout = BEGINNING_TIMEOUT_MS } = this.options.settings;
    this.#beginning = setTimeout(() => {
      this.break(
        new ConnectionLostError(
          `${main.peer} did not begin a recovery within ${beginningTimeout} ms`,
        ),
      );
    }, beginningTimeout);
    this.#recovered.resolve(this.#stream);
  }

  async #acceptPreempt(listener: Listener): Promise<void> {
    const endpoint = await listener.accept({ signal: this.#abort.signal });
    if (!endpoint) return;
    await listener.close();
    await this.#startPreempt(endpoint);
  }

  async #startPreempt(endpoint: Endpoint): Promise<void> {
    this.#endpoints.push(endpoint);
    const { ram, postcopy } = this.#loading!;
    const preempt = await IncomingStream.start(endpoint.handOff(), this.options.spares);
    this.#preempt = preempt;
    preempt.setRam(ram);
    preempt.setPostcopy({ missing: postcopy.missing, sectionId: undefined, isUrgent: true });
    const { reject } = this.#preemptLost;
    loadRecords(preempt).catch((error) => {
      // What was lost is elsewhere, if all was given up for it.
      reject(error === this.#reason ? error : error.at({ channel: "preempt" }));
    });
  }
}

/** Lets the worker place what comes, up to the record with which older sources end the channel. */
async function loadRecords(stream: IncomingStream): Promise<void> {
  const { reader } = stream;
  const head = new Uint8Array(8);
  for (;;) {
    // It has its turn before the first page comes: somebody stands still for that one.
    await stream.loadPages(true);
    await reader.need(head.length, "a RAM record");
    reader.source.peek(head);
    const flags = new DataView(head.buffer).getUint32(4) & RAM_FLAGS_MASK & ~RamFlag.CONTINUE;
    if (flags === RamFlag.EOS) return;
    if (flags !== RamFlag.PAGE && flags !== RamFlag.ZERO) {
      throw new StreamFormatError("Something other than a page", {
        place: { offset: reader.position },
      });
    }
  }
}

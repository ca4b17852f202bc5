/**
 * One connection of an outgoing migration, with the threads that serve it and the news of it. A migration
 * has one, and after each pause of postcopy another.
 *
 * @module
 */
import { asMigrationError, ConnectionLostError, SettingError } from "../errors.ts";
import { isBeforePreemptAtSwitch } from "../postcopy/preempt_dialect.ts";
import { RequestQueue } from "../threads/request_queue.ts";
import { ReturnPath } from "../postcopy/return_path.ts";
import { OutgoingStream } from "../ram/outgoing_stream.ts";
import type { RunEncoderOptions } from "../ram/run_encoder.ts";
import { type JobRing, Progress } from "../threads/job_ring.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { ChannelSpec, FileSpec } from "../transport/channel.ts";
import { connect } from "../transport/connect.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import type { SocketOptions, TransportOptions } from "../transport/options.ts";
import type { MigrationUri } from "../transport/uri.ts";
import type { Capabilities } from "./capabilities.ts";
import { DestinationWord } from "./destination_word.ts";
import { requireMultiChannel } from "./multi_channel.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { OutgoingStatistics } from "./outgoing_statistics.ts";
import type { Parameters } from "./parameters.ts";
import { StallWatch, type Watched } from "./stall_watch.ts";
import { tlsTransport } from "./tls_options.ts";
import { Trouble } from "./trouble.ts";

/** How long a connection may take to come about, in milliseconds. */
const CONNECT_TIMEOUT_MS = 30_000;

/** What a link is made for. */
export interface LinkOptions {
  readonly uri: MigrationUri;
  readonly machine: OutgoingMachine;
  readonly capabilities: Capabilities;
  readonly statistics: OutgoingStatistics;
  readonly transport?: SocketOptions | undefined;
  readonly spares?: SpareWorkers | undefined;
  readonly parameters: Parameters;
  /** How long nothing may pass, in milliseconds. */
  readonly stallTimeout?: number | undefined;
  /** Whether all has been sent: from then on the destination's last word is what counts. */
  readonly allSent: () => boolean;
}

/** How its threads are started. */
export interface LinkThreads {
  readonly encoder: RunEncoderOptions;
  /** Whether the destination will say what it has received. */
  readonly recovering: boolean;
  /** What else is watched for a standstill. */
  readonly others?: readonly Watched[];
}

/** A connection in use. */
export class OutgoingLink implements AsyncDisposable {
  readonly trouble = new Trouble();
  readonly progress = new Progress();
  readonly destination: DestinationWord;
  /** Pages that the destination asks for; with `postcopy-ram`. */
  readonly requests: RequestQueue | undefined;
  readonly #abort = new AbortController();
  #endpoint: Endpoint | undefined;
  #preempt: Endpoint | undefined;
  #stream: OutgoingStream | undefined;
  #returnPath: ReturnPath | undefined;
  #stallWatch: StallWatch | undefined;
  #encoder: RunEncoderOptions | undefined;
  #beginning = new Uint8Array(0);
  #tls: Pick<TransportOptions, "tls"> = {};
  readonly #opened = Promise.withResolvers<void>();
  /** Resolves when it is connected, if it ever is. */
  readonly opened = this.#opened.promise;

  /** @param options What for. Nothing happens before {@linkcode OutgoingLink.connect}. */
  constructor(private readonly options: LinkOptions) {
    this.trouble.onFailure(() => {
      this.#abort.abort();
      this.progress.bump();
    });
    this.destination = new DestinationWord(this.trouble, options.allSent);
    if (options.capabilities["postcopy-ram"]) this.requests = RequestQueue.create(this.progress);
  }

  /** How further connections of it are made. */
  get transport(): TransportOptions {
    const { transport, spares } = this.options;
    return {
      ...transport,
      ...this.#tls,
      ...spares && { spares },
      signal: this.#abort.signal,
      timeoutMs: CONNECT_TIMEOUT_MS,
    };
  }

  /** The file that the stream goes to, if it goes to one. */
  get file(): FileSpec | undefined {
    return this.#endpoint?.file;
  }

  /** The main channel, once the threads are there. */
  get stream(): OutgoingStream {
    return this.#stream!;
  }

  /** The return path, if there is one. */
  get returnPath(): ReturnPath | undefined {
    return this.#returnPath;
  }

  /**
   * Connects.
   * @throws {TransportError | CancelledError} If that does not work.
   * @throws {SettingError} If the address does not allow what the capabilities need.
   */
  async connect(): Promise<void> {
    const { uri, capabilities } = this.options;
    if (capabilities["postcopy-preempt"]) requireMultiChannel(uri, "postcopy-preempt");
    this.#tls = await tlsTransport("source", this.options);
    const endpoint = await connect(uri, this.transport);
    this.#endpoint = endpoint;
    this.#opened.resolve();
    this.#watchCommand(endpoint);
    if (capabilities["postcopy-ram"] && endpoint.direction !== "both") {
      throw new SettingError("Postcopy needs a connection with two directions", {
        advice: "Use tcp, unix or vsock, or turn the capability postcopy-ram off.",
      });
    }
  }

  /** Whether it is one that can carry an answer: a socket. */
  get isTwoWay(): boolean {
    return this.#endpoint!.direction === "both";
  }

  /** Whether the destination is to answer. */
  get opensReturnPath(): boolean {
    const { capabilities } = this.options;
    return (capabilities["return-path"] || this.requests !== undefined) &&
      this.isTwoWay;
  }

  /**
   * Sends the stream's first bytes: over a socket at once, so that the destination gets ready while the
   * threads here do.
   */
  async begin(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#beginning = bytes;
    if (this.isTwoWay) await this.#endpoint!.writeHead(bytes, this.transport);
  }

  /** Starts its threads. */
  async start(threads: LinkThreads): Promise<void> {
    const { machine: { ram, ramSectionId }, spares, statistics } = this.options;
    const endpoint = this.#endpoint!;
    this.#encoder = threads.encoder;
    const { requests, progress } = this;
    const halves = this.opensReturnPath ? endpoint.handOffHalves() : undefined;
    const ring = OutgoingStream.createRing(progress);
    const starting = [
      OutgoingStream.start({
        channel: halves?.write ?? endpoint.handOff(),
        ...{ ram, progress, ring, spares },
        encoder: threads.encoder,
        postcopy: requests && {
          ...{ requests: requests.layout, sectionId: ramSectionId },
          isUrgent: !this.options.capabilities["postcopy-preempt"],
        },
      }).then((stream) => this.#stream = stream),
      halves && this.#listen(halves.read, ring, threads.recovering),
    ];
    // Both are waited for, so that none is left behind when the other fails.
    for (const started of await Promise.allSettled(starting)) {
      if (started.status === "rejected") throw started.reason;
    }
    const stream = this.#stream!;
    stream.ended.catch((error) => this.trouble.report(asMigrationError(error)));
    if (this.isTwoWay) stream.counters.add("bytes", this.#beginning.length);
    else stream.writer.bytes(this.#beginning);
    statistics.addChannel(stream.counters);
    const watched = [stream, ...threads.others ?? [], ...this.#watchedPreempt()];
    this.#stallWatch = new StallWatch(
      () => watched,
      (error) => this.trouble.report(error),
      this.options.stallTimeout,
    );
  }

  /** Starts the return path's thread. */
  async #listen(channel: ChannelSpec, ring: JobRing, recovering: boolean): Promise<void> {
    const { machine: { ram }, spares, statistics } = this.options;
    const { requests } = this;
    const pages = requests &&
      { ram: ram.layout, requests: requests.layout, ring: ring.layout, recovering };
    const returnPath = await ReturnPath.start({ channel, pages }, this.destination, spares);
    this.#returnPath = returnPath;
    statistics.addChannel(returnPath.preemptCounters);
    if (requests) statistics.addRequests(requests);
  }

  /** Whether the preempt channel is opened while the machine is set up, and not at the switch. */
  get hasEarlyPreempt(): boolean {
    return this.options.capabilities["postcopy-preempt"] &&
      isBeforePreemptAtSwitch(this.options.machine.configuration.machine);
  }

  /**
   * Opens the preempt channel, on which requests are answered from now on, if there is to be one and it is
   * not there yet. The destination takes the second connection for it, so it must have seen the first.
   * @returns Whether there is one now.
   */
  async openPreempt(): Promise<boolean> {
    if (!this.options.capabilities["postcopy-preempt"]) return false;
    if (this.#preempt) return true;
    this.#preempt = await connect(this.options.uri, this.transport);
    await this.trouble.guard(
      this.#returnPath!.usePreempt(this.#preempt.handOff(), this.#encoder!),
    );
    return true;
  }

  /** Ends the preempt channel as the destination expects it, when nothing more will be asked for. */
  async endPreempt(): Promise<void> {
    if (this.#preempt && this.hasEarlyPreempt) {
      await this.trouble.guard(this.#returnPath!.endPreempt());
    }
  }

  /** Waits, but not beyond a failure. */
  async sleep(milliseconds: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, milliseconds);
    try {
      await this.trouble.guard(promise);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits until what is behind the connection is done with the stream. */
  async finish(): Promise<void> {
    await this.#endpoint!.finish();
  }

  /** Ends the threads and the connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stallWatch?.[Symbol.dispose]();
    await Promise.allSettled([
      this.#stream?.[Symbol.asyncDispose](),
      this.#returnPath?.[Symbol.asyncDispose](),
    ]);
    await this.#preempt?.close();
    await this.#endpoint?.close();
  }

  /** Pages that are claimed for the preempt channel must get into it. */
  #watchedPreempt(): Watched[] {
    const { requests } = this;
    const counters = this.#returnPath?.preemptCounters;
    if (!requests || !counters) return [];
    return [{
      get waitingFor() {
        return requests.busy ? ["preempt"] : [];
      },
      get passed() {
        return counters.get("bytes");
      },
    }];
  }

  /** A command takes less than a pipe holds without anybody noticing that it has ended. */
  #watchCommand(endpoint: Endpoint): void {
    endpoint.ended?.then((failure) => {
      this.trouble.report(
        new ConnectionLostError(
          `${endpoint.peer} ended before it had the whole stream: ${failure ?? "exit status 0"}`,
        ),
      );
    });
  }
}

/**
 * The connections of an incoming migration, with the threads that serve them: where it listens, its main
 * channel, the channels of multifd and of preempt, and its end of the return path.
 *
 * @module
 */
import { ConnectionLostError, type MigrationError, StateError } from "../errors.ts";
import { FaultThread } from "../postcopy/fault_thread.ts";
import { IncomingStream } from "../ram/incoming_stream.ts";
import { SpareWorkers } from "../threads/spare_workers.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import { listen } from "../transport/listen.ts";
import type { Listener } from "../transport/listener.ts";
import type { MigrationUri } from "../transport/uri.ts";
import { acceptChannels, CHANNELS_TIMEOUT_MS } from "./incoming_channels.ts";
import type { NamedCounters } from "./channel_info.ts";
import { IncomingMappedRam } from "./incoming_mapped_ram.ts";
import { IncomingMultifd } from "./incoming_multifd.ts";
import type { IncomingOptions } from "./incoming_options.ts";
import { DirectReturnPath, IncomingReturnPath } from "./incoming_return_path.ts";
import { requireMultiChannel, requireTransport } from "./multi_channel.ts";
import { prepareIncoming } from "./spare_threads.ts";
import { incomingTls } from "./tls_options.ts";
import type { Trouble } from "./trouble.ts";

/** How long a source may take from its connection to its list of RAM blocks, in milliseconds. */
const BEGINNING_TIMEOUT_MS = 30_000;
/** How long the other channels may take once one is there, if each has a handshake, in milliseconds. */
const TLS_CHANNELS_TIMEOUT_MS = 30_000;

/** The migration around them. */
export interface IncomingLinkOptions {
  /** What the migration was told. */
  readonly settings: IncomingOptions;
  /** The machine's UUID, if a source must have the same. */
  readonly uuid: Uint8Array | undefined;
  /** Ends everything that waits here. */
  readonly trouble: Trouble;
  /** Called when all multifd channels have brought what was sent of RAM a first time. */
  readonly onRoundEnd: () => void;
  /** A multifd channel or its thread failed. */
  readonly onMultifdFailure: (error: MigrationError) => void;
  /** The fault thread failed: nobody asks for pages any more. */
  readonly onFaultFailure: (error: MigrationError) => void;
}

/** The connections of one migration. */
export class IncomingLink implements AsyncDisposable {
  /** Threads that are there before they are needed. */
  readonly spares: SpareWorkers;
  readonly #abort = new AbortController();
  #listener: Listener | undefined;
  #endpoint: Endpoint | undefined;
  #stream: IncomingStream | IncomingMappedRam | undefined;
  #multifd: IncomingMultifd | undefined;
  #preempt: Promise<Endpoint> | undefined;
  #faults: FaultThread | undefined;
  #returnPath = new IncomingReturnPath(undefined);
  #beginning: ReturnType<typeof setTimeout> | undefined;
  /** Bytes received on main channels that were lost. */
  #receivedBefore = 0;

  /** @param options What for. Nothing happens before {@linkcode IncomingLink.listen}. */
  constructor(private readonly options: IncomingLinkOptions) {
    this.spares = options.settings.spares ?? new SpareWorkers();
    options.trouble.onFailure(() => {
      this.#abort.abort();
      this.#multifd?.wake();
    });
  }

  /** The main channel, once a source has come. */
  get stream(): IncomingStream | IncomingMappedRam | undefined {
    return this.#stream;
  }

  /** The figures of the channels of multifd, if there are any. */
  get channels(): readonly NamedCounters[] | undefined {
    if (!this.options.settings.capabilities.multifd) return undefined;
    if (this.#stream instanceof IncomingMappedRam) return this.#stream.threads;
    return this.#multifd?.counters;
  }

  /** The channels of multifd, if there are any. */
  get multifd(): IncomingMultifd | undefined {
    return this.#multifd;
  }

  /** The preempt channel, which may come late; `undefined` if there is none. */
  get preempt(): Promise<Endpoint> | undefined {
    return this.#preempt;
  }

  /** What asks the source for pages, if there may be postcopy. */
  get faults(): FaultThread | undefined {
    return this.#faults;
  }

  /** What is said to the source. */
  get returnPath(): IncomingReturnPath {
    return this.#returnPath;
  }

  /** Bytes received so far, on all channels but preempt. */
  get received(): number {
    return this.#receivedBefore + (this.#stream?.received ?? 0) +
      (this.#multifd?.received ?? 0);
  }

  /**
   * Lets sources connect.
   * @returns The address.
   * @throws {TransportError | SettingError} If nobody can listen there, or not for what is wanted.
   */
  async listen(): Promise<MigrationUri> {
    const { settings } = this.options;
    requireTransport(settings.uri, settings);
    const { "postcopy-preempt": preempt } = settings.capabilities;
    if (preempt) requireMultiChannel(settings.uri, "postcopy-preempt");
    this.#listener = await this.listenOn(settings.uri, this.#abort.signal);
    prepareIncoming(this.spares, settings);
    return this.#listener.uri;
  }

  /** Lets sources connect that go on with this migration; each with what was told for the first. */
  async listenOn(uri: MigrationUri, signal: AbortSignal): Promise<Listener> {
    const { settings } = this.options;
    return await listen(uri, {
      ...settings.transport,
      tls: incomingTls(settings),
      spares: this.spares,
      signal,
    });
  }

  /**
   * Waits for a source.
   * @throws {ConnectionLostError | StreamFormatError | IncompatibleError} If it opens other channels.
   */
  async accept(): Promise<void> {
    const { uuid, settings } = this.options;
    const { capabilities, channelsTimeout } = settings;
    // The threads that read a mapped-ram file open it themselves.
    const hasChannels = capabilities.multifd && !capabilities["mapped-ram"];
    const { main, multifd } = await acceptChannels(this.#listener!, {
      get multifd() {
        return hasChannels ? settings.parameters["multifd-channels"] : 0;
      },
      ...uuid && { uuid },
      get timeoutMs() {
        const encrypted = settings.parameters["tls-creds"] !== "";
        return channelsTimeout ?? (encrypted ? TLS_CHANNELS_TIMEOUT_MS : CHANNELS_TIMEOUT_MS);
      },
      signal: this.#abort.signal,
    });
    this.#endpoint = main;
    if (hasChannels) this.#multifd = this.#startMultifd(multifd);
    if (capabilities["postcopy-preempt"]) {
      this.#preempt = this.#acceptPreempt();
      this.#preempt.catch(() => {}); // who waits for it hears of it
    } else await this.#listener!.close();
    await this.#startMain(main);
  }

  /** The main channel is another one from now on. */
  goOnWith(stream: IncomingStream): void {
    this.#receivedBefore += this.#stream?.received ?? 0;
    this.#stream = stream;
  }

  /** A source that has connected must soon say what machine it has: until then it could be anybody. */
  limitBeginning(): void {
    const { settings: { uri, beginningTimeout = BEGINNING_TIMEOUT_MS }, trouble } = this.options;
    if (uri.kind === "exec" || uri.kind === "fd" || uri.kind === "file") return;
    this.#beginning = setTimeout(() => {
      trouble.report(
        new ConnectionLostError(
          `${this.#endpoint!.peer} did not begin a migration within ${beginningTimeout} ms`,
          { place: { offset: this.#stream!.reader.position } },
        ),
      );
    }, beginningTimeout);
  }

  /**
   * Waits until the source says anything at all.
   * @throws {ConnectionLostError} If it ends without a word.
   */
  async firstByte(): Promise<void> {
    const { reader } = this.#stream!;
    if (!await reader.atEnd()) return;
    const { peer } = this.#endpoint!;
    if (this.options.settings.uri.kind === "file") {
      throw new ConnectionLostError(`Nothing is in ${peer}`, {
        advice: "Give the file of a migration.",
      });
    }
    const { stream } = this;
    throw new ConnectionLostError(`Nothing came from ${peer} before it gave up`, {
      ...stream instanceof IncomingStream && { cause: stream.broken },
      advice: "Its own messages say why, if it is a source at all; then begin anew on both sides.",
    });
  }

  /** It has said so, and may take its time. */
  begun(): void {
    clearTimeout(this.#beginning);
  }

  /** Nobody who connects is let in any more. */
  stopAccepting(): void {
    clearTimeout(this.#beginning);
    this.#abort.abort();
  }

  /** Ends the threads and the connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stopAccepting();
    await Promise.allSettled([
      this.#returnPath[Symbol.asyncDispose](),
      this.#multifd?.[Symbol.asyncDispose](),
      this.options.settings.spares ?? this.spares[Symbol.asyncDispose](),
      this.#stream?.[Symbol.asyncDispose](),
      this.#listener?.close(),
    ]);
    await this.#endpoint?.close();
  }

  #startMultifd(channels: readonly Endpoint[]): IncomingMultifd {
    const { settings: { parameters, transport, stallTimeout }, trouble } = this.options;
    return new IncomingMultifd({
      ...{ channels, parameters, stallTimeout, spares: this.spares, check: trouble.check },
      handOff: transport?.handOff,
      onRoundEnd: this.options.onRoundEnd,
      onFailure: this.options.onMultifdFailure,
    });
  }

  /** Nothing tells the preempt channel but that it is the connection after all others. */
  async #acceptPreempt(): Promise<Endpoint> {
    const listener = this.#listener!;
    const endpoint = await listener.accept({ signal: this.#abort.signal });
    if (!endpoint) throw new StateError("The listener was closed before the preempt channel came");
    await listener.close();
    return endpoint;
  }

  async #startMain(main: Endpoint): Promise<void> {
    const { spares } = this;
    const { settings, trouble } = this.options;
    if (settings.capabilities["mapped-ram"]) {
      const options = { ...settings, spares, check: trouble.check };
      this.#stream = new IncomingMappedRam(main.file!, options);
      return;
    }
    const halves = main.direction === "both" ? main.handOffHalves() : undefined;
    const stream = await IncomingStream.start(halves?.read ?? main.handOff(), spares);
    this.#stream = stream;
    if (!halves) return;
    if (settings.capabilities["postcopy-ram"]) {
      this.#faults = await FaultThread.start({
        ...{ channel: halves.write, spares },
        onLost: (error) => stream.break(error),
        onFailure: this.options.onFaultFailure,
      });
    }
    this.#returnPath = new IncomingReturnPath(this.#faults ?? new DirectReturnPath(halves.write));
  }
}

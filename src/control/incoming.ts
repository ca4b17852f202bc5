/**
 * The incoming migration (wire-format §10.2; QEMU `migration/migration.c`,
 * `process_incoming_migration_co`): waits for a source, loads its stream, takes the machine over.
 *
 * @module
 */
import {
  asMigrationError,
  CancelledError,
  ConnectionLostError,
  type MigrationError,
  StateError,
  StreamFormatError,
} from "../errors.ts";
import { IncomingStream } from "../ram/incoming_stream.ts";
import { RAM_SECTION } from "../ram/flags.ts";
import { RamLoader } from "../ram/load.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { FaultKind } from "../postcopy/missing_ram.ts";
import { FaultThread } from "../postcopy/fault_thread.ts";
import { targetPageSize } from "../machine/page.ts";
import {
  type LoadContext,
  loadStream,
  type LoadTarget,
  type SectionLoader,
} from "../savevm/load.ts";
import { SpareWorkers } from "../threads/spare_workers.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import type { ChannelSpec } from "../transport/channel.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import { listen } from "../transport/listen.ts";
import type { Listener } from "../transport/listener.ts";
import type { SocketOptions } from "../transport/options.ts";
import type { MigrationUri } from "../transport/uri.ts";
import { Command, describeCommand, type ReceivedCommand } from "../wire/command.ts";
import type { Configuration } from "../wire/configuration.ts";
import type { ReturnPathMessage } from "../wire/return_path.ts";
import type { FullSectionHeader } from "../wire/section.ts";
import { readVmDescription } from "../wire/vm_description.ts";
import { requireSameCapabilities } from "./agreement.ts";
import type { Capabilities } from "./capabilities.ts";
import { channelInfos } from "./channel_info.ts";
import { acceptChannels } from "./incoming_channels.ts";
import { IncomingMultifd } from "./incoming_multifd.ts";
import { IncomingPostcopy } from "./incoming_postcopy.ts";
import { DirectReturnPath, type ReturnPathWriter } from "./incoming_return_path.ts";
import type { IncomingTarget } from "./incoming_target.ts";
import type { MigrationEvent, MigrationInfo } from "./migration_info.ts";
import { requireMultiChannel } from "./multi_channel.ts";
import {
  INCOMING,
  type IncomingEvent,
  type MigrationStatus,
  nextStatus,
} from "./migration_status.ts";
import type { Parameters } from "./parameters.ts";
import type { ProvidedRam } from "./provided_ram.ts";
import { prepareIncoming } from "./spare_threads.ts";
import { tlsTransport } from "./tls_options.ts";
import { Trouble } from "./trouble.ts";

/** How long the last word to a source, and its last bytes, may take, in milliseconds. */
const FAREWELL_TIMEOUT_MS = 2000;
/** How long what follows the stream's end may take, in milliseconds; the machine is complete without it. */
const DESCRIPTION_TIMEOUT_MS = 30_000;
/** How long a source may take from its connection to its list of RAM blocks, in milliseconds. */
const BEGINNING_TIMEOUT_MS = 30_000;
/** How long the other channels may take once one is there, if each has a handshake, in milliseconds. */
const TLS_CHANNELS_TIMEOUT_MS = 30_000;

/** What a migration is told. */
export interface IncomingOptions {
  readonly uri: MigrationUri;
  readonly capabilities: Capabilities;
  readonly parameters: Parameters;
  /** Gets the events QMP would emit, and is to return soon. */
  readonly onEvent?: (event: MigrationEvent) => void;
  readonly transport?: SocketOptions;
  /**
   * How long a source that has connected may take to say what machine it has: until then it could be
   * anybody, and keeps the source from connecting. In milliseconds.
   * @default {30000}
   */
  readonly beginningTimeout?: number;
  /** How guests are kept from pages that have not come, if not in the best way there is. */
  readonly wantedFaults?: FaultKind;
  /**
   * How long a source may take, once one of its channels is there, to open the others; in milliseconds.
   * @default {10000}
   */
  readonly channelsTimeout?: number;
  /**
   * How long nothing may pass on multifd channels that are waited for; in milliseconds.
   * @default {10000}
   */
  readonly stallTimeout?: number;
}

/** One migration from somewhere else to here. */
export class IncomingMigration implements LoadTarget {
  /** Resolves with the address, once sources can connect; rejects if they cannot. */
  readonly listening: Promise<MigrationUri>;
  /** Resolves with the final figures; rejects with what ended the migration. */
  readonly completed: Promise<MigrationInfo>;
  readonly #trouble = new Trouble();
  readonly #abort = new AbortController();
  readonly #listening = Promise.withResolvers<MigrationUri>();
  #status: MigrationStatus = "none";
  #listener: Listener | undefined;
  #endpoint: Endpoint | undefined;
  #stream: IncomingStream | undefined;
  #multifd: IncomingMultifd | undefined;
  readonly #spares = new SpareWorkers();
  #provided: ProvidedRam | undefined;
  #configuration: Configuration | undefined;
  /** The writing half of the main connection; it is used once the source asks for a return path. */
  #returnPath: ReturnPathWriter | undefined;
  #returnPathOpen = false;
  #postcopy: IncomingPostcopy | undefined;
  #preempt: Promise<Endpoint> | undefined;
  /** Bytes received on main channels that were lost. */
  #receivedBefore = 0;
  #farewellSent = false;
  #ram: RamLoader | undefined;
  #guestRam: GuestRam | undefined;
  #ramSectionId = 0;
  #beginning: ReturnType<typeof setTimeout> | undefined;
  /** From here on the machine is this side's, whatever happens. */
  #takenOver = false;
  #failure: MigrationError | undefined;

  /**
   * Begins to listen; what becomes of it is said by {@linkcode IncomingMigration.completed}.
   * @param target Where the machine goes.
   * @param options From where and how.
   */
  constructor(
    private readonly target: IncomingTarget,
    private readonly options: IncomingOptions,
  ) {
    this.listening = this.#listening.promise;
    this.listening.catch(() => {});
    this.#trouble.onFailure(() => {
      this.#abort.abort();
      if (!this.#takenOver) this.#stream?.abandon();
      this.#multifd?.wake();
    });
    this.completed = this.#run();
    this.completed.catch(() => {});
  }

  /** What the migration is doing. */
  get status(): MigrationStatus {
    return this.#status;
  }

  /** Bytes received so far. */
  get received(): number {
    return this.#receivedBefore + (this.#stream?.counters.get("bytes") ?? 0) +
      (this.#multifd?.received ?? 0);
  }

  /** The object that `query-migrate` returns. */
  info(): MigrationInfo {
    const failure = this.#failure ??
      (this.#status === "postcopy-paused" ? this.#postcopy?.lastLoss : undefined);
    const withBlocktime = this.options.capabilities["postcopy-blocktime"];
    return {
      ...(this.#status !== "none" && { status: this.#status }),
      ...(this.#multifd && { "multifd-channels": channelInfos(this.#multifd.counters) }),
      ...this.#postcopy?.info(withBlocktime),
      ...(failure && ["failed", "postcopy-paused"].includes(this.#status) && {
        "error-desc": failure.message,
      }),
    };
  }

  /** Gives up; the source keeps its machine. @throws {StateError} If it is over, or too late. */
  cancel(): void {
    if (this.#takenOver) throw new StateError("Too late to cancel: the machine is here");
    if (!nextStatus(INCOMING, this.#status, "error")) {
      throw new StateError(`An incoming migration that is ${this.#status} cannot be cancelled`);
    }
    this.#trouble.report(new CancelledError("The incoming migration was cancelled"));
  }

  /**
   * Gives up the connection of a postcopy whose guest runs here: what QMP calls `migrate-pause`.
   * @throws {StateError} Unless it is one.
   */
  pause(): void {
    if (!this.#postcopy) throw new StateError("There is no postcopy that could be paused");
    this.#postcopy.pause();
  }

  /**
   * Listens for the source again after the connection was lost: what QMP calls `migrate-recover`.
   * @returns The address, once the source can connect.
   * @throws {StateError} Unless the migration is `postcopy-paused`.
   * @throws {TransportError} If nobody can listen there; it may be tried again.
   */
  async recover(uri: MigrationUri): Promise<MigrationUri> {
    if (!this.#postcopy) throw new StateError("There is no postcopy that could be recovered");
    return await this.#postcopy.recover(uri);
  }

  /** Breaks its connections, as a network would. */
  yank(): void {
    const error = new ConnectionLostError("The connection was broken by yank");
    if (this.#takenOver) this.#postcopy?.lose(error);
    else this.#trouble.report(error);
  }

  async #run(): Promise<MigrationInfo> {
    try {
      for (const phase of [this.#listen, this.#accept, this.#load]) {
        await this.#trouble.guard(phase.call(this));
      }
      if (this.#postcopy?.listening) await this.#finishPostcopy(this.#postcopy);
      else await this.#takeOver();
    } catch (thrown) {
      await this.#fail(asMigrationError(thrown));
    } finally {
      await this.#cleanUp();
    }
    return this.info();
  }

  async #listen(): Promise<void> {
    for (const capability of ["multifd", "postcopy-preempt"] as const) {
      if (this.options.capabilities[capability]) requireMultiChannel(this.options.uri, capability);
    }
    this.#listener = await this.#listenOn(this.options.uri, this.#abort.signal);
    this.#move("listen");
    this.#listening.resolve(this.#listener.uri);
    prepareIncoming(this.#spares, this.options);
    const { "postcopy-ram": postcopy } = this.options.capabilities;
    // In postcopy, what has not come must be missing.
    if (!postcopy) this.#provided = await this.target.provideRam?.();
  }

  async #listenOn(uri: MigrationUri, signal: AbortSignal): Promise<Listener> {
    return await listen(uri, {
      ...this.options.transport,
      ...await tlsTransport("destination", this.options),
      spares: this.#spares,
      signal,
    });
  }

  async #accept(): Promise<void> {
    const { capabilities, parameters, transport, channelsTimeout, stallTimeout } = this.options;
    const timeoutMs = channelsTimeout ??
      (parameters["tls-creds"] === "" ? undefined : TLS_CHANNELS_TIMEOUT_MS);
    const { main: endpoint, multifd: channels } = await acceptChannels(this.#listener!, {
      multifd: capabilities.multifd ? parameters["multifd-channels"] : 0,
      ...this.target.uuid && { uuid: this.target.uuid },
      ...timeoutMs !== undefined && { timeoutMs },
      signal: this.#abort.signal,
    });
    this.#endpoint = endpoint;
    await this.#provided?.[Symbol.asyncDispose]();
    if (capabilities.multifd) {
      this.#multifd = new IncomingMultifd({
        channels,
        parameters,
        handOff: transport?.handOff,
        stallTimeout,
        spares: this.#spares,
        onRoundEnd: () => this.#provided?.giveBack(),
        onFailure: (error) => {
          if (!this.#postcopy?.listening) this.#trouble.report(error);
        },
        check: this.#trouble.check,
      });
    }
    if (capabilities["postcopy-preempt"]) {
      this.#preempt = this.#acceptPreempt();
      this.#preempt.catch(() => {}); // who waits for it hears of it
    } else await this.#listener!.close();
    const halves = endpoint.direction === "both" ? endpoint.handOffHalves() : undefined;
    this.#stream = await IncomingStream.start(
      halves?.read ?? endpoint.handOff(),
      this.#spares,
    );
    if (capabilities["postcopy-ram"] && halves) {
      const faults = await this.#startFaultThread(halves.write);
      this.#returnPath = faults;
      this.#postcopy = this.#makePostcopy(faults, this.#stream);
    } else if (halves) {
      this.#returnPath = new DirectReturnPath(halves.write);
    }
    this.#move("channels-complete");
  }

  /** Nothing tells the preempt channel but that it is the connection after all others. */
  async #acceptPreempt(): Promise<Endpoint> {
    const listener = this.#listener!;
    const endpoint = await listener.accept({ signal: this.#abort.signal });
    if (!endpoint) throw new StateError("The listener was closed before the preempt channel came");
    await listener.close();
    return endpoint;
  }

  #startFaultThread(channel: ChannelSpec): Promise<FaultThread> {
    return FaultThread.start({
      channel,
      spares: this.#spares,
      onLost: (error) => this.#stream?.break(error),
      onFailure: (error) => {
        if (this.#takenOver) this.#postcopy?.fail(error);
        else this.#trouble.report(error);
      },
    });
  }

  #makePostcopy(faults: FaultThread, stream: IncomingStream): IncomingPostcopy {
    const status = () => this.#status;
    return new IncomingPostcopy({
      target: this.target,
      wantedFaults: this.options.wantedFaults,
      stream,
      faults,
      preempt: this.#preempt,
      spares: this.#spares,
      listen: (uri, signal) => this.#listenOn(uri, signal),
      pageSize: () => targetPageSize(this.#configuration!.targetPageBits),
      ram: () => this.#guestRam && { ram: this.#guestRam, sectionId: this.#ramSectionId },
      onStream: (next) => {
        this.#receivedBefore += this.#stream?.counters.get("bytes") ?? 0;
        this.#stream = next;
      },
      host: {
        get status() {
          return status();
        },
        move: (event) => this.#move(event),
        takeOver: () => {
          this.#trouble.check();
          this.#takenOver = true;
        },
        report: (error) => this.#trouble.report(asMigrationError(error)),
        runs: () => this.#emit({ event: "RESUME" }),
      },
    });
  }

  async #load(): Promise<void> {
    const { kind } = this.options.uri;
    if (kind !== "exec" && kind !== "fd" && kind !== "file") this.#limitBeginning();
    await loadStream(this.#stream!.reader, this);
    if (this.#postcopy?.listening) return;
    if (!this.#ram?.complete && !hasAllPages(this.#guestRam)) {
      throw new StreamFormatError("The stream ended before all of its RAM had come");
    }
  }

  /**
   * With the byte that ended the stream the source has given the machine away. So what comes after it (the
   * description, or a failure of the connection) is not waited for and cannot fail the migration; only the
   * target can, until it says that the machine is its own.
   */
  async #takeOver(): Promise<void> {
    const stream = this.#stream!;
    const description = readVmDescription(stream.reader).catch(() => undefined);
    const runs = await this.target.complete(
      inTime(DESCRIPTION_TIMEOUT_MS, description, () => stream.abandon()),
      () => {
        this.#trouble.check();
        this.#takenOver = true;
      },
    );
    this.#takenOver = true;
    if (runs) this.#emit({ event: "RESUME" });
    this.#move("done");
    await this.#sayFarewell(0);
    await inTime(FAREWELL_TIMEOUT_MS, description, () => stream.abandon());
  }

  /** The machine is here, and the rest of its RAM comes; a machine to be kept is complete then. */
  async #finishPostcopy(postcopy: IncomingPostcopy): Promise<void> {
    await postcopy.finish();
    if (!this.target.postcopyGuest) {
      await this.target.complete(Promise.resolve(undefined), () => {});
    }
    this.#move("done");
    await this.#sayFarewell(0);
  }

  #limitBeginning(): void {
    const { beginningTimeout = BEGINNING_TIMEOUT_MS } = this.options;
    this.#beginning = setTimeout(() => {
      this.#trouble.report(
        new ConnectionLostError(
          `${this.#endpoint!.peer} did not begin a migration within ${beginningTimeout} ms`,
          { place: { offset: this.#stream!.reader.position } },
        ),
      );
    }, beginningTimeout);
  }

  // ── LoadTarget ────────────────────────────────────────────────────────────────────────────────

  configuration(configuration: Configuration): void {
    requireSameCapabilities(configuration, this.options.capabilities);
    this.target.configuration(configuration);
    this.#configuration = configuration;
  }

  section(header: FullSectionHeader): SectionLoader {
    if (header.idstr === RAM_SECTION.idstr) return this.#ramLoader(header);
    return this.target.section(header);
  }

  async command(
    received: ReceivedCommand,
    reader: ByteReader,
    context: LoadContext,
  ): Promise<"continue" | "leave"> {
    const { command, payload } = received;
    switch (command) {
      case Command.OPEN_RETURN_PATH:
        this.#openReturnPath();
        // No device here has anything to say about the time of the switchover.
        if (this.options.capabilities["switchover-ack"]) {
          await this.#reply({ type: "SWITCHOVER_ACK" });
        }
        return "continue";
      case Command.PING:
        if (!this.#returnPathOpen) throw new StreamFormatError("PING without a return path");
        await this.#reply({ type: "PONG", value: await payload.be32("PING") });
        return "continue";
      case Command.SWITCHOVER_START:
        this.target.switchoverStart();
        return "continue";
      case Command.POSTCOPY_ADVISE:
      case Command.POSTCOPY_RAM_DISCARD:
      case Command.PACKAGED:
      case Command.POSTCOPY_LISTEN:
      case Command.POSTCOPY_RUN:
      case Command.POSTCOPY_RESUME:
      case Command.RECV_BITMAP:
        if (this.#postcopy) return await this.#postcopy.command(received, reader, context);
        throw new StreamFormatError("The source wants postcopy, which this side does not expect", {
          advice: "Turn the capability postcopy-ram on here too.",
        });
      default:
        throw new StreamFormatError(
          `${describeCommand(command)} is not possible in the state ${this.#status}`,
          { advice: "Both sides must have the same capabilities." },
        );
    }
  }

  #ramLoader(header: FullSectionHeader): RamLoader {
    if (header.versionId !== RAM_SECTION.versionId) {
      throw new StreamFormatError(
        `RAM section version ${header.versionId}: only ${RAM_SECTION.versionId} is known`,
      );
    }
    const configuration = this.#configuration!;
    if (this.#ram) throw new StreamFormatError("The stream has a second RAM section");
    return this.#ram = new RamLoader({
      dialect: {
        pageSize: targetPageSize(configuration.targetPageBits),
        ignoreShared: configuration.capabilities?.includes("x-ignore-shared") ?? false,
      },
      prepare: async (blocks) => {
        clearTimeout(this.#beginning);
        this.#guestRam = await this.target.prepareRam(blocks, header.sectionId);
        this.#ramSectionId = header.sectionId;
        this.#stream!.setRam(this.#guestRam);
        this.#multifd?.start(this.#guestRam);
      },
      loadPages: () => this.#stream!.loadPages(),
      flush: async () => await this.#multifdOfPrecopy?.flush(),
      endOfPart: async (part) => {
        await this.#multifdOfPrecopy?.endOfPart(part);
        // Multifd gives back at a round's end. Afterwards devices are loaded, and may write RAM.
        if (part === "end" && !this.#multifd) this.#provided?.giveBack();
      },
    });
  }

  /** In postcopy nothing comes on these channels, and nobody waits for them. */
  get #multifdOfPrecopy(): IncomingMultifd | undefined {
    return this.#postcopy?.listening ? undefined : this.#multifd;
  }

  // ── return path ───────────────────────────────────────────────────────────────────────────────

  #openReturnPath(): void {
    if (!this.#returnPath) {
      throw new StreamFormatError("The source wants a return path over a one-way connection");
    }
    this.#returnPathOpen = true;
  }

  async #reply(message: ReturnPathMessage): Promise<void> {
    await this.#returnPath!.send(message);
  }

  /** Tells the source how it ended. It may be gone, and the end is the same. */
  async #sayFarewell(status: number): Promise<void> {
    if (!this.#returnPathOpen || this.#farewellSent) return;
    this.#farewellSent = true;
    try {
      const returnPath = this.#returnPath!;
      const sent = this.#reply({ type: "SHUT", status });
      await inTime(FAREWELL_TIMEOUT_MS, sent, () => returnPath.close());
      await returnPath.shutdown();
    } catch {
      // The source sees the connection's end instead.
    }
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────

  /** The one place for failures: the source keeps the machine, and is told so if that is certain. */
  async #fail(error: MigrationError): Promise<never> {
    const reason = this.#takenOver ? error : this.#trouble.error ?? error;
    reason.at({
      ...{ side: "destination", phase: this.#status, channel: "main" },
      ...(this.#stream && { offset: this.#stream.reader.position }),
    });
    reason.cause ??= this.#stream?.broken;
    this.#trouble.report(reason);
    this.#listening.reject(reason);
    if (!this.#takenOver) {
      try {
        await this.target.abandon();
        await this.#sayFarewell(1);
      } catch (also) {
        reason.cause ??= also;
      }
    }
    this.#failure = reason;
    if (nextStatus(INCOMING, this.#status, "error")) this.#move("error");
    throw reason;
  }

  async #cleanUp(): Promise<void> {
    clearTimeout(this.#beginning);
    this.#abort.abort();
    await this.#postcopy?.[Symbol.asyncDispose]();
    await Promise.allSettled([
      this.#returnPath?.[Symbol.asyncDispose](),
      this.#multifd?.[Symbol.asyncDispose](),
      this.#spares[Symbol.asyncDispose](),
      this.#provided?.[Symbol.asyncDispose](),
      this.#stream?.[Symbol.asyncDispose](),
      this.#listener?.close(),
    ]);
    await this.#endpoint?.close();
  }

  #move(event: IncomingEvent): void {
    const next = nextStatus(INCOMING, this.#status, event);
    if (!next) {
      throw new StateError(`An incoming migration that is ${this.#status} cannot ${event}`);
    }
    this.#status = next;
    this.#emit({ event: "MIGRATION", data: { status: next } });
  }

  #emit(event: MigrationEvent): void {
    try {
      this.options.onEvent?.(event);
    } catch (error) {
      // Who only listens cannot end what has been taken over.
      if (!this.#takenOver) this.#trouble.report(asMigrationError(error));
    }
  }
}

/** A background snapshot's RAM has no END: it is complete when each page has come. */
function hasAllPages(ram: GuestRam | undefined): boolean {
  return ram?.blocks.every((block) => block.received.count() === block.pageCount) ?? false;
}

/** Waits for what the source must take or send at the very end, but not for long. */
async function inTime<T>(milliseconds: number, step: Promise<T>, giveUp: () => void): Promise<T> {
  const timer = setTimeout(giveUp, milliseconds);
  try {
    return await step;
  } finally {
    clearTimeout(timer);
  }
}

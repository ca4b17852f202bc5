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
import { targetPageSize } from "../machine/page.ts";
import { loadStream, type LoadTarget, type SectionLoader } from "../savevm/load.ts";
import { SpareWorkers } from "../threads/spare_workers.ts";
import type { Channel } from "../transport/channel.ts";
import type { Endpoint } from "../transport/endpoint.ts";
import { listen } from "../transport/listen.ts";
import type { Listener } from "../transport/listener.ts";
import { openChannel } from "../transport/open_channel.ts";
import type { TransportOptions } from "../transport/options.ts";
import type { MigrationUri } from "../transport/uri.ts";
import { Command, describeCommand, type ReceivedCommand } from "../wire/command.ts";
import type { Configuration } from "../wire/configuration.ts";
import { encodeReturnPathMessage, type ReturnPathMessage } from "../wire/return_path.ts";
import type { FullSectionHeader } from "../wire/section.ts";
import { readVmDescription } from "../wire/vm_description.ts";
import { requireSameCapabilities } from "./agreement.ts";
import type { Capabilities } from "./capabilities.ts";
import { channelInfos } from "./channel_info.ts";
import { acceptChannels } from "./incoming_channels.ts";
import { IncomingMultifd } from "./incoming_multifd.ts";
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

/** What a migration is told. */
export interface IncomingOptions {
  readonly uri: MigrationUri;
  readonly capabilities: Capabilities;
  readonly parameters: Parameters;
  /** Gets the events QMP would emit, and is to return soon. */
  readonly onEvent?: (event: MigrationEvent) => void;
  readonly transport?: Pick<TransportOptions, "handOff" | "vsock" | "onRefused">;
  /**
   * How long a source that has connected may take to say what machine it has: until then it could be
   * anybody, and keeps the source from connecting. In milliseconds.
   * @default {30000}
   */
  readonly beginningTimeout?: number;
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
  #returnChannel: Channel | undefined;
  #returnPathOpen = false;
  #farewellSent = false;
  #ram: RamLoader | undefined;
  #guestRam: GuestRam | undefined;
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
    return (this.#stream?.counters.get("bytes") ?? 0) + (this.#multifd?.received ?? 0);
  }

  /** The object that `query-migrate` returns. */
  info(): MigrationInfo {
    const failure = this.#failure;
    return {
      ...(this.#status !== "none" && { status: this.#status }),
      ...(this.#multifd && { "multifd-channels": channelInfos(this.#multifd.counters) }),
      ...(failure && this.#status === "failed" && { "error-desc": failure.message }),
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

  /** Breaks its connections, as a network would. */
  yank(): void {
    this.#trouble.report(new ConnectionLostError("The connection was broken by yank"));
  }

  async #run(): Promise<MigrationInfo> {
    try {
      for (const phase of [this.#listen, this.#accept, this.#load]) {
        await this.#trouble.guard(phase.call(this));
      }
      await this.#takeOver();
    } catch (thrown) {
      await this.#fail(asMigrationError(thrown));
    } finally {
      await this.#cleanUp();
    }
    return this.info();
  }

  async #listen(): Promise<void> {
    if (this.options.capabilities.multifd) requireMultiChannel(this.options.uri);
    this.#listener = await listen(this.options.uri, {
      ...this.options.transport,
      ...await tlsTransport("destination", this.options),
      signal: this.#abort.signal,
    });
    this.#move("listen");
    this.#listening.resolve(this.#listener.uri);
    prepareIncoming(this.#spares, this.options);
    const { multifd, "postcopy-ram": postcopy } = this.options.capabilities;
    if (multifd && !postcopy) this.#provided = await this.target.provideRam?.();
  }

  async #accept(): Promise<void> {
    const { capabilities, parameters, transport, channelsTimeout, stallTimeout } = this.options;
    const { main: endpoint, multifd: channels } = await acceptChannels(this.#listener!, {
      multifd: capabilities.multifd ? parameters["multifd-channels"] : 0,
      ...this.target.uuid && { uuid: this.target.uuid },
      ...channelsTimeout !== undefined && { timeoutMs: channelsTimeout },
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
        onFailure: (error) => this.#trouble.report(error),
        check: this.#trouble.check,
      });
    }
    await this.#listener!.close();
    const halves = endpoint.direction === "both" ? endpoint.handOffHalves() : undefined;
    if (halves) this.#returnChannel = openChannel(halves.write);
    this.#stream = await IncomingStream.start(
      halves?.read ?? endpoint.handOff(),
      this.#spares,
    );
    this.#move("channels-complete");
  }

  async #load(): Promise<void> {
    const { kind } = this.options.uri;
    if (kind !== "exec" && kind !== "fd" && kind !== "file") this.#limitBeginning();
    await loadStream(this.#stream!.reader, this);
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

  async command(received: ReceivedCommand): Promise<"continue" | "leave"> {
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
    const stream = this.#stream!;
    if (this.#ram) throw new StreamFormatError("The stream has a second RAM section");
    return this.#ram = new RamLoader({
      dialect: {
        pageSize: targetPageSize(configuration.targetPageBits),
        ignoreShared: configuration.capabilities?.includes("x-ignore-shared") ?? false,
      },
      prepare: async (blocks) => {
        clearTimeout(this.#beginning);
        this.#guestRam = await this.target.prepareRam(blocks, header.sectionId);
        stream.setRam(this.#guestRam);
        this.#multifd?.start(this.#guestRam);
      },
      loadPages: () => stream.loadPages(),
      flush: async () => await this.#multifd?.flush(),
      endOfPart: async (part) => await this.#multifd?.endOfPart(part),
    });
  }

  // ── return path ───────────────────────────────────────────────────────────────────────────────

  #openReturnPath(): void {
    if (!this.#returnChannel) {
      throw new StreamFormatError("The source wants a return path over a one-way connection");
    }
    this.#returnPathOpen = true;
  }

  async #reply(message: ReturnPathMessage): Promise<void> {
    await this.#returnChannel!.write(encodeReturnPathMessage(message));
  }

  /** Tells the source how it ended. It may be gone, and the end is the same. */
  async #sayFarewell(status: number): Promise<void> {
    if (!this.#returnPathOpen || this.#farewellSent) return;
    this.#farewellSent = true;
    try {
      const channel = this.#returnChannel!;
      const sent = this.#reply({ type: "SHUT", status });
      await inTime(FAREWELL_TIMEOUT_MS, sent, () => channel.close());
      await channel.shutdown();
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
    this.#returnChannel?.close();
    await Promise.allSettled([
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
      this.#trouble.report(asMigrationError(error));
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

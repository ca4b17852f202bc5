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
import type { FaultThread } from "../postcopy/fault_thread.ts";
import { IncomingStream } from "../ram/incoming_stream.ts";
import { loadStream } from "../savevm/load.ts";
import type { MigrationUri } from "../transport/uri.ts";
import { readVmDescription } from "../wire/vm_description.ts";
import type { Capabilities } from "./capabilities.ts";
import { AnnouncedStatus } from "./announced_status.ts";
import { channelInfos } from "./channel_info.ts";
import { inTime } from "./in_time.ts";
import { IncomingElements } from "./incoming_elements.ts";
import { IncomingLink } from "./incoming_link.ts";
import type { IncomingOptions } from "./incoming_options.ts";
import { IncomingPostcopy } from "./incoming_postcopy.ts";
import type { IncomingTarget } from "./incoming_target.ts";
import { requireTransport } from "./multi_channel.ts";
import type { MigrationInfo } from "./migration_info.ts";
import { INCOMING, type IncomingEvent, type MigrationStatus } from "./migration_status.ts";
import type { Parameters } from "./parameters.ts";
import type { ProvidedRam } from "./provided_ram.ts";
import { Trouble } from "./trouble.ts";

/** How long the source's last bytes may take once the machine runs, in milliseconds. */
const LAST_BYTES_TIMEOUT_MS = 2000;
/** How long what follows the stream's end may take, in milliseconds; the machine is complete without it. */
const DESCRIPTION_TIMEOUT_MS = 30_000;

/** Who listens for other channels has to begin anew. */
const FIXED_BY_LISTENING = [
  ["multifd", "Multifd"],
  ["postcopy-preempt", "Postcopy preempt"],
] as const;
/** What each connection is accepted with, also those that go on with a postcopy. */
const OF_CONNECTIONS = ["tls-creds", "tls-authz"] as const;

/** One migration from somewhere else to here. */
export class IncomingMigration {
  /** Resolves with the address, once sources can connect; rejects if they cannot. */
  readonly listening: Promise<MigrationUri>;
  /** Resolves with the final figures; rejects with what ended the migration. */
  readonly completed: Promise<MigrationInfo>;
  /** What it was told; some of it may change until a source has come. */
  readonly #settings: { -readonly [Name in keyof IncomingOptions]: IncomingOptions[Name] };
  readonly #trouble = new Trouble();
  readonly #listening = Promise.withResolvers<MigrationUri>();
  readonly #status: AnnouncedStatus<IncomingEvent>;
  readonly #link: IncomingLink;
  readonly #elements: IncomingElements;
  #provided: ProvidedRam | undefined;
  #postcopy: IncomingPostcopy | undefined;
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
    options: IncomingOptions,
  ) {
    const settings = this.#settings = { ...options };
    this.listening = this.#listening.promise;
    this.listening.catch(() => {});
    const trouble = this.#trouble;
    this.#status = new AnnouncedStatus({
      ...{ table: INCOMING, who: "An incoming migration", onEvent: options.onEvent },
      // Who only listens cannot end what has been taken over.
      onListenerFailure: (error) => void (this.#takenOver || trouble.report(error)),
    });
    const link = this.#link = new IncomingLink({
      ...{ settings, uuid: target.uuid, trouble },
      onRoundEnd: () => this.#provided?.giveBack(),
      onMultifdFailure: (error) => void (this.#postcopy?.listening || trouble.report(error)),
      onFaultFailure: (error) => {
        if (this.#takenOver) this.#postcopy?.fail(error);
        else trouble.report(error);
      },
    });
    this.#elements = new IncomingElements({
      ...{ target, link, settings },
      postcopy: () => this.#postcopy,
      status: () => this.status,
      onRamEnd: () => this.#provided?.giveBack(),
    });
    trouble.onFailure(() => void (this.#takenOver || link.stream?.abandon()));
    this.completed = this.#run();
    this.completed.catch(() => {});
  }

  /** What the migration is doing. */
  get status(): MigrationStatus {
    return this.#status.now;
  }

  /** Bytes received so far. */
  get received(): number {
    return this.#link.received;
  }

  /** The object that `query-migrate` returns. */
  info(): MigrationInfo {
    const failure = this.#failure ??
      (this.status === "postcopy-paused" ? this.#postcopy?.lastLoss : undefined);
    const withBlocktime = this.#settings.capabilities["postcopy-blocktime"];
    const { channels } = this.#link;
    return {
      ...(this.status !== "none" && { status: this.status }),
      ...(channels && { "multifd-channels": channelInfos(channels) }),
      ...this.#postcopy?.info(withBlocktime),
      ...(failure && ["failed", "postcopy-paused"].includes(this.status) && {
        "error-desc": failure.explanation,
      }),
    };
  }

  /**
   * Changes its capabilities, as long as it only listens.
   * @throws {StateError} Once a source has come, and for those that decide how one connects.
   * @throws {SettingError} If the address does not give what they need.
   */
  setCapabilities(capabilities: Capabilities): void {
    if (this.status !== "setup") throw new StateError("There's a migration process in progress");
    const before = this.#settings.capabilities;
    for (const [name, words] of FIXED_BY_LISTENING) {
      if (capabilities[name] === before[name]) continue;
      throw new StateError(`${words} must be set before incoming starts`);
    }
    requireTransport(this.#settings.uri, { ...this.#settings, capabilities });
    this.#settings.capabilities = capabilities;
  }

  /**
   * Changes its parameters, as long as it only listens; later none of them counts but those of connections
   * that are still to come.
   * @throws {SettingError} If they do not go with the address.
   */
  setParameters(parameters: Parameters): void {
    const before = this.#settings.parameters;
    if (this.status === "setup") {
      requireTransport(this.#settings.uri, { ...this.#settings, parameters });
      this.#settings.parameters = parameters;
    } else {
      const changed = OF_CONNECTIONS.map((name) => [name, parameters[name]]);
      this.#settings.parameters = { ...before, ...Object.fromEntries(changed) };
    }
  }

  /** Gives up; the source keeps its machine. @throws {StateError} If it is over, or too late. */
  cancel(): void {
    if (this.#takenOver) throw new StateError("Too late to cancel: the machine is here");
    if (!this.#status.allows("error")) {
      throw new StateError(`An incoming migration that is ${this.status} cannot be cancelled`);
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
    const uri = await this.#link.listen();
    this.#status.move("listen");
    this.#listening.resolve(uri);
    const { "postcopy-ram": postcopy } = this.#settings.capabilities;
    // In postcopy, what has not come must be missing.
    if (!postcopy) this.#provided = await this.target.provideRam?.();
  }

  async #accept(): Promise<void> {
    await this.#link.accept();
    await this.#provided?.[Symbol.asyncDispose]();
    const { faults, stream } = this.#link;
    if (faults && stream instanceof IncomingStream) {
      this.#provided = undefined; // postcopy looks itself after what has not come
      this.#postcopy = this.#makePostcopy(faults, stream);
    }
    this.#status.move("channels-complete");
  }

  #makePostcopy(faults: FaultThread, stream: IncomingStream): IncomingPostcopy {
    const link = this.#link;
    const status = () => this.status;
    return new IncomingPostcopy({
      ...{ target: this.target, settings: this.#settings },
      ...{ stream, faults, preempt: link.preempt, spares: link.spares },
      listen: (uri, signal) => link.listenOn(uri, signal),
      pageSize: () => this.#elements.pageSize,
      ram: () => this.#elements.ram,
      onStream: (next) => link.goOnWith(next),
      host: {
        get status() {
          return status();
        },
        move: (event) => this.#status.move(event),
        takeOver: () => this.#takesOver(),
        report: (error) => this.#trouble.report(asMigrationError(error)),
        runs: () => this.#status.emit({ event: "RESUME" }),
      },
    });
  }

  async #load(): Promise<void> {
    this.#link.limitBeginning();
    await this.#link.firstByte();
    await loadStream(this.#link.stream!.reader, this.#elements);
    if (this.#postcopy?.listening || this.#elements.hasAllRam) return;
    throw new StreamFormatError("The stream ended before all of its RAM had come");
  }

  /**
   * With the byte that ended the stream the source has given the machine away. So what comes after it (the
   * description, or a failure of the connection) is not waited for and cannot fail the migration; only the
   * target can, until it says that the machine is its own.
   */
  async #takeOver(): Promise<void> {
    const stream = this.#link.stream!;
    const description = readVmDescription(stream.reader).catch(() => undefined);
    const runs = await this.target.complete(
      inTime(DESCRIPTION_TIMEOUT_MS, description, () => stream.abandon()),
      () => this.#takesOver(),
    );
    this.#takenOver = true;
    if (runs) this.#status.emit({ event: "RESUME" });
    this.#status.move("done");
    await this.#link.returnPath.sayFarewell(0);
    await inTime(LAST_BYTES_TIMEOUT_MS, description, () => stream.abandon());
  }

  /** The machine is here, and the rest of its RAM comes; a machine to be kept is complete then. */
  async #finishPostcopy(postcopy: IncomingPostcopy): Promise<void> {
    await postcopy.finish();
    if (!this.target.postcopyGuest) {
      await this.target.complete(Promise.resolve(undefined), () => {});
    }
    this.#status.move("done");
    await this.#link.returnPath.sayFarewell(0);
  }

  /** The machine is this side's, unless something has failed. */
  #takesOver(): void {
    this.#trouble.check();
    this.#takenOver = true;
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────

  /** The one place for failures: the source keeps the machine, and is told so if that is certain. */
  async #fail(error: MigrationError): Promise<never> {
    const reason = this.#takenOver ? error : this.#trouble.error ?? error;
    const { stream } = this.#link;
    reason.at({
      ...{ side: "destination", phase: this.status, channel: "main" },
      ...(stream && { offset: stream.reader.position }),
    });
    reason.cause ??= stream?.broken;
    this.#trouble.report(reason);
    this.#listening.reject(reason);
    if (!this.#takenOver) {
      try {
        await this.target.abandon();
        await this.#link.returnPath.sayFarewell(1);
      } catch (also) {
        reason.cause ??= also;
      }
    }
    this.#failure = reason;
    if (this.#status.allows("error")) this.#status.move("error");
    throw reason;
  }

  async #cleanUp(): Promise<void> {
    this.#link.stopAccepting();
    await this.#postcopy?.[Symbol.asyncDispose]();
    await Promise.allSettled([
      this.#link[Symbol.asyncDispose](),
      this.#provided?.[Symbol.asyncDispose](),
    ]);
  }
}

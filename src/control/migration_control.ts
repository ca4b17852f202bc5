/**
 * One machine's migrations: its settings, the migration that leaves and the one that arrives, and what
 * may be asked of them when. It is what the command line, QMP and `mod.ts` have in common (wire-format
 * §11.3; QEMU `migration/migration.c`, the `qmp_*` functions).
 *
 * @module
 */
import { StateError } from "../errors.ts";
import { type MigrationUri, parseUri } from "../transport/uri.ts";
import { formatSocketAddress, type SocketAddress } from "../transport/uri_channels.ts";
import { requireSendable } from "./agreement.ts";
import { Blockers } from "./blockers.ts";
import { type Capabilities, changeCapabilities, defaultCapabilities } from "./capabilities.ts";
import { IncomingMigration } from "./incoming.ts";
import type {
  CapabilityChanges,
  MigrateOptions,
  MigrationControlOptions,
  ResumeOptions,
} from "./migration_control_options.ts";
import type { MigrationEvent, MigrationInfo } from "./migration_info.ts";
import { isRunning, type MigrationStatus } from "./migration_status.ts";
import { requireTransport } from "./multi_channel.ts";
import { OutgoingMigration } from "./outgoing.ts";
import {
  changeParameters,
  defaultParameters,
  type ParameterChanges,
  type Parameters,
} from "./parameters.ts";

/** The settings and migrations of one machine. */
export class MigrationControl {
  #capabilities: Capabilities = defaultCapabilities();
  #parameters: Parameters = defaultParameters();
  #outgoing: OutgoingMigration | undefined;
  #incoming: IncomingMigration | undefined;
  /** In what its settings differ from the control's. */
  #incomingChanges: MigrateOptions = {};
  /** Where the arriving migration listened last. */
  #listeningAt: MigrationUri | undefined;
  /** What is not over yet: migrations, and the question for what is to be migrated. */
  readonly #underWay = new Set<Promise<unknown>>();
  #listeners: ((event: MigrationEvent) => void)[] = [];
  readonly #blockers = new Blockers(() => this.#underWay.size > 0);

  /** Begins without a migration. @param options What there is to migrate. */
  constructor(private readonly options: MigrationControlOptions) {}

  /** All capabilities. */
  get capabilities(): Capabilities {
    return this.#capabilities;
  }

  /** All parameters. */
  get parameters(): Parameters {
    return this.#parameters;
  }

  /**
   * The last migration that left, if there was one.
   * @internal
   */
  get outgoing(): OutgoingMigration | undefined {
    return this.#outgoing;
  }

  /**
   * The last migration that arrived, if there was one.
   * @internal
   */
  get incoming(): IncomingMigration | undefined {
    return this.#incoming;
  }

  /** Whether there is a machine that can leave. */
  get canSend(): boolean {
    return this.options.source !== undefined;
  }

  /** Whether there is a place where a machine can arrive. */
  get canReceive(): boolean {
    return this.options.target !== undefined;
  }

  /** What the migration is doing: the one that leaves, if there was one, and else the one that arrives. */
  get status(): MigrationStatus {
    return this.#outgoing?.status ?? this.#incoming?.status ?? "none";
  }

  /**
   * Changes capabilities, also those of a migration that only listens.
   * @throws {StateError} While another migration runs, or if such a change comes too late.
   * @throws {SettingError} If the result is not allowed; then none is changed.
   */
  setCapabilities(changes: CapabilityChanges): void {
    const next = changeCapabilities(this.#capabilities, changes);
    if (this.#incoming && isRunning(this.#incoming.status) && !this.#isLeaving) {
      this.#incoming.setCapabilities(
        changeCapabilities(next, this.#incomingChanges.capabilities ?? {}),
      );
    } else {
      this.#refuseWhileRunning();
    }
    this.#capabilities = next;
  }

  /**
   * Changes parameters; what a running migration allows changes at once, and so does what one that only
   * listens has not used yet.
   * @throws {SettingError} If one is not allowed; then none is changed.
   * @throws {StateError} If a migration listens already, and listens with one of them; then none is changed.
   */
  setParameters(changes: ParameterChanges): void {
    const next = changeParameters(this.#parameters, changes);
    this.#incoming?.setParameters(changeParameters(next, this.#incomingChanges.parameters ?? {}));
    this.#parameters = next;
    this.#outgoing?.setParameters(next);
  }

  /** Adds a listener of the events QMP emits; it must not throw. @returns Removes it. */
  onEvent(listener: (event: MigrationEvent) => void): () => void {
    this.#listeners.push(listener);
    return () => this.#listeners = this.#listeners.filter((each) => each !== listener);
  }

  /**
   * Keeps the machine here: no migration can begin until this is taken back.
   * @param reason Why, for who wants to migrate it.
   * @returns Takes it back.
   * @throws {StateError} While a migration runs, which this cannot stop.
   */
  addBlocker(reason: string): () => void {
    return this.#blockers.add(reason);
  }

  /** Why the machine must stay. */
  get blockedReasons(): string[] {
    return this.#blockers.reasons;
  }

  /** The object that `query-migrate` returns: the arriving side's first, over it the leaving side's. */
  info(): MigrationInfo {
    return {
      ...this.#incoming?.info(),
      ...this.#socketAddress(),
      ...this.#outgoing?.info(),
      ...(this.blockedReasons.length > 0 && { "blocked-reasons": this.blockedReasons }),
    };
  }

  /**
   * Begins to move the machine away, or goes on with a migration that is paused.
   * @param to Where to.
   * @param options Settings for this migration only.
   * @returns When it has begun; what becomes of it is said by its `completed`.
   * @throws {StateError} If there is nothing to move, or it is blocked, or a migration runs; with `resume`, if none is paused.
   * @throws {UsageError | SettingError} If the address or a setting is not understood.
   * @internal
   */
  async migrate(
    to: string | MigrationUri,
    { resume, takeUp = false, ...options }: MigrateOptions & ResumeOptions = {},
  ): Promise<OutgoingMigration> {
    const uri = typeof to === "string" ? parseUri(to) : to;
    if (resume) return this.#resume(uri);
    const settings = this.#settings(options);
    this.#refuseWhileRunning();
    requireTransport(uri, settings);
    const { source, transport, spares } = this.options;
    if (!source) throw new StateError("There is no machine here to migrate");
    const [reason] = this.blockedReasons;
    if (reason !== undefined) throw new StateError(reason);
    const machine = await this.#follow(Promise.try(source));
    const [blocker] = machine.blockers;
    if (blocker !== undefined) throw new StateError(`The machine cannot be moved: ${blocker}`);
    requireSendable(machine, settings.capabilities);
    const outgoing = new OutgoingMigration(machine, {
      uri,
      ...settings,
      ...takeUp && { takesUp: true },
      ...transport && { transport },
      ...spares && { spares },
      onEvent: (event) => this.#emit(event),
    });
    this.#follow(outgoing.completed);
    return this.#outgoing = outgoing;
  }

  /**
   * Begins to wait for a machine.
   * @param from Where to listen.
   * @param options Settings for this migration only.
   * @throws {StateError} If there is no place for one, or a migration runs.
   * @throws {UsageError | SettingError} If the address or a setting is not understood.
   * @internal
   */
  migrateIncoming(from: string | MigrationUri, options: MigrateOptions = {}): IncomingMigration {
    const uri = typeof from === "string" ? parseUri(from) : from;
    const settings = this.#settings(options);
    this.#refuseWhileRunning();
    requireTransport(uri, settings);
    const { target, transport, spares } = this.options;
    if (!target) throw new StateError("There is no place here for a machine");
    this.#listeningAt = undefined;
    const place = target();
    const incoming = new IncomingMigration(place, {
      uri,
      ...settings,
      ...transport && { transport },
      ...spares && { spares },
      onEvent: (event) => this.#emit(event),
    });
    incoming.listening.then((uri) => this.#listeningAt = uri).catch(() => {});
    this.#incomingChanges = options;
    const ended = () => place.ended?.();
    incoming.completed.then(ended, ended);
    this.#follow(incoming.completed);
    return this.#incoming = incoming;
  }

  /**
   * Gives up the migration that runs; the source's machine stays where it is.
   * @throws {StateError} If it is too late.
   */
  cancel(): void {
    if (this.#outgoing?.status === "cancelling") return;
    if (this.#outgoing && isRunning(this.#outgoing.status)) this.#outgoing.cancel();
    else if (this.#incoming && isRunning(this.#incoming.status)) this.#incoming.cancel();
  }

  /**
   * Goes on after `pause-before-switchover`.
   * @throws {StateError} Unless a migration waits there.
   */
  continue(): void {
    if (!this.#outgoing) throw new StateError("No migration waits before its switchover");
    this.#outgoing.continue();
  }

  /**
   * Lets the machine run at the destination at the next opportunity; the rest of its RAM follows.
   * @throws {StateError} If no migration runs, or not one for that.
   */
  startPostcopy(): void {
    if (!this.#outgoing || !isRunning(this.#outgoing.status)) {
      throw new StateError("Start the migration before switching to postcopy");
    }
    this.#outgoing.startPostcopy();
  }

  /**
   * Gives up the connections of a migration in postcopy, so that it can go on over others.
   * @throws {StateError} Unless one is in postcopy.
   */
  pause(): void {
    const migration = [this.#outgoing, this.#incoming].find((each) =>
      each?.status === "postcopy-active" || each?.status === "postcopy-recover"
    );
    if (!migration) {
      throw new StateError(
        "migrate-pause is currently only supported during postcopy-active or postcopy-recover state",
      );
    }
    migration.pause();
  }

  /**
   * Begins to wait for a source that goes on with a migration that is paused.
   * @param from Where to listen.
   * @returns The address, once the source can connect.
   * @throws {StateError} Unless the arriving migration is `postcopy-paused`.
   * @throws {UsageError | TransportError} If it cannot listen there.
   */
  async recover(from: string | MigrationUri): Promise<MigrationUri> {
    const uri = typeof from === "string" ? parseUri(from) : from;
    const incoming = this.#incoming;
    if (incoming?.status !== "postcopy-paused") {
      const done = incoming?.status === "completed"
        ? ": this migration is completed, the machine is whole here, and its source can be ended"
        : "";
      throw new StateError(`Migrate recover can only be run when postcopy is paused${done}`);
    }
    return this.#listeningAt = await incoming.recover(uri);
  }

  #resume(uri: MigrationUri): OutgoingMigration {
    const outgoing = this.#outgoing;
    if (outgoing?.status !== "postcopy-paused") {
      throw new StateError("Cannot resume if there is no paused migration");
    }
    outgoing.resume(uri);
    return outgoing;
  }

  /**
   * Breaks the connections of the migration that runs, as a network would.
   * @throws {StateError} If none runs.
   */
  yank(): void {
    const running = [this.#outgoing, this.#incoming].find((each) => each && isRunning(each.status));
    if (!running) throw new StateError("There is no migration whose connections could be broken");
    running.yank();
  }

  /** Like QEMU's, it is there until the migration has ended. */
  #socketAddress(): { "socket-address"?: SocketAddress[] } {
    const uri = this.#listeningAt;
    if (!uri || !this.#incoming || !isRunning(this.#incoming.status)) return {};
    if (uri.kind === "exec" || uri.kind === "file") return {};
    const address = formatSocketAddress(uri);
    if (address.type !== "inet") return { "socket-address": [address] };
    // It was looked up, so it is of one family.
    const family = address.host.includes(":") ? { ipv6: true } : { ipv4: true };
    return { "socket-address": [{ ...address, ...family }] };
  }

  #settings(options: MigrateOptions): { capabilities: Capabilities; parameters: Parameters } {
    return {
      capabilities: changeCapabilities(this.#capabilities, options.capabilities ?? {}),
      parameters: changeParameters(this.#parameters, options.parameters ?? {}),
    };
  }

  /** Waits until nothing is left of a migration that has ended; of one that runs, it does not. */
  async cleanedUp(): Promise<void> {
    if ([this.#outgoing, this.#incoming].some((each) => each && isRunning(each.status))) return;
    await Promise.allSettled(this.#underWay);
  }

  get #isLeaving(): boolean {
    return this.#outgoing !== undefined && isRunning(this.#outgoing.status);
  }

  #refuseWhileRunning(): void {
    if (this.#underWay.size > 0) throw new StateError("There's a migration process in progress");
  }

  #follow<T>(ending: Promise<T>): Promise<T> {
    this.#underWay.add(ending);
    const over = () => void this.#underWay.delete(ending);
    ending.then(over, over);
    return ending;
  }

  #emit(event: MigrationEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

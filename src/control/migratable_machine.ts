/**
 * A machine with its migrations: what an embedding program works with.
 *
 * @module
 */
import type { DirtyLogKind } from "../dirty/dirty_log.ts";
import { StateError } from "../errors.ts";
import { Machine, type MachineOptions, type MachineParts } from "../machine/machine.ts";
import type { SocketOptions } from "../transport/options.ts";
import { type MigrationUri, parseUri } from "../transport/uri.ts";
import { MachineDirtying } from "./machine_dirtying.ts";
import { type Arrival, MachineTarget } from "./machine_target.ts";
import { MigrationControl } from "./migration_control.ts";
import type { MigrateOptions } from "./migration_control_options.ts";
import type { MigrationEvent, MigrationInfo } from "./migration_info.ts";
import type { MigrationStatus } from "./migration_status.ts";
import { watch } from "./watch.ts";

/** A machine to be made, and how it migrates. */
export interface MigratableMachineOptions extends MachineOptions {
  /** The maker of the dirty log. @default {the best that host and guest allow} */
  readonly dirtyLog?: DirtyLogKind;
  /** How sockets are opened. */
  readonly transport?: SocketOptions;
}

/** How one migration is made. */
export interface MigrationOptions extends MigrateOptions {
  /** Aborting it cancels the migration; after the handover it has no effect. */
  readonly signal?: AbortSignal;
  /** Gets the events QMP would emit, and is to return soon. */
  readonly onEvent?: (event: MigrationEvent) => void;
}

/** One migration of a machine. `for await` looks at it until it is over. */
export interface Migration extends AsyncIterable<MigrationInfo> {
  /** Resolves with the final figures; rejects with a typed error, and then the source has the machine. */
  readonly completed: Promise<MigrationInfo>;
  /** What it is doing, spelled as QMP spells it. */
  readonly status: MigrationStatus;
  /** The object that `query-migrate` returns. */
  info(): MigrationInfo;
  /** Gives up. @throws {StateError} If it is over, or too late. */
  cancel(): void;
}

/** A migration that leaves. */
export interface LeavingMigration extends Migration {
  /**
   * Lets the machine run there as soon as can be; the pages that it lacks follow.
   * @throws {StateError} Unless the capability `postcopy-ram` was on when the migration began.
   */
  startPostcopy(): void;
  /** Gives up the connection of a migration in postcopy. @throws {StateError} If it is none. */
  pause(): void;
  /**
   * Goes on with a migration that is `postcopy-paused`.
   * @param to Where the destination waits for that (`recover()`).
   * @throws {StateError} If it is not paused.
   */
  resume(to: string): Promise<void>;
}

/** A migration that arrives. */
export interface ArrivingMigration extends Migration {
  /** Gives up the connection of a migration in postcopy. @throws {StateError} If it is none. */
  pause(): void;
  /**
   * Waits for a source that goes on with a migration that is `postcopy-paused`.
   * @param from Where to listen.
   * @returns The address, once the source can connect.
   * @throws {StateError} If it is not paused.
   */
  recover(from: string): Promise<MigrationUri>;
  /** Resolves with the address, once sources can connect; rejects if they cannot. */
  readonly listening: Promise<MigrationUri>;
}

/** A machine that can be moved and can arrive. */
export class MigratableMachine extends Machine {
  /** Its settings and migrations, as QMP sees them. */
  readonly control: MigrationControl;

  /**
   * What becomes of it when it arrives.
   * @internal
   */
  readonly arrival: Arrival = { startsRunning: true };
  /**
   * How fast its RAM is written, and limits to that.
   * @internal
   */
  readonly dirtying: MachineDirtying;

  /**
   * Adds migrations to a machine.
   * @param parts What the machine consists of.
   * @param options How it migrates.
   */
  protected constructor(parts: MachineParts, options: MigratableMachineOptions) {
    super(parts);
    this.dirtying = new MachineDirtying(this, options.dirtyLog);
    this.control = new MigrationControl({
      source: () => this.dirtying.source(),
      target: () => new MachineTarget(this, () => this.dirtying, this.arrival),
      ...options.transport && { transport: options.transport },
    });
  }

  /**
   * Makes a machine and starts its vCPUs' workers; its guests begin with `start()`, or where an arriving
   * machine's state says.
   * @throws {UsageError} If a SPEC is not understood.
   * @throws {GuestError} If a guest's code cannot be loaded.
   * @throws {RangeError} If the RAM cannot be laid out.
   */
  static override async create(options: MigratableMachineOptions): Promise<MigratableMachine> {
    return new MigratableMachine(await this.prepare(options), options);
  }

  /** As any machine ends, and with it what watches its RAM. */
  override async [Symbol.asyncDispose](): Promise<void> {
    await this.dirtying[Symbol.asyncDispose]();
    await super[Symbol.asyncDispose]();
  }

  /**
   * Moves the machine while it runs.
   * @param to Such as `tcp:10.0.0.2:4444`.
   * @returns The migration, which has begun.
   * @throws {UsageError} If the address is not understood.
   */
  migrate(to: string, options: MigrationOptions = {}): LeavingMigration {
    const { control } = this;
    const beginning = control.migrate(parseUri(to), options);
    return Object.assign(new BegunMigration(beginning, control, options), {
      startPostcopy: () => control.startPostcopy(),
      pause: () => control.pause(),
      resume: async (to: string) => void await control.migrate(to, { resume: true }),
    });
  }

  /**
   * Waits for a machine, which then runs here.
   * @param from Such as `tcp:0.0.0.0:4444`.
   * @throws {UsageError} If the address is not understood.
   */
  incoming(from: string, options: MigrationOptions = {}): ArrivingMigration {
    const { control } = this;
    const incoming = control.migrateIncoming(from, options);
    return Object.assign(new BegunMigration(Promise.resolve(incoming), control, options), {
      listening: incoming.listening,
      pause: () => control.pause(),
      recover: (from: string) => control.recover(from),
    });
  }
}

interface Begun {
  readonly status: MigrationStatus;
  readonly completed: Promise<MigrationInfo>;
  info(): MigrationInfo;
  cancel(): void;
}

class BegunMigration implements Migration {
  readonly completed: Promise<MigrationInfo>;
  #begun: Begun | undefined;
  #cancelled = false;

  constructor(beginning: Promise<Begun>, control: MigrationControl, options: MigrationOptions) {
    const { signal, onEvent } = options;
    const stopListening = onEvent && control.onEvent(onEvent);
    const abort = () => this.#abort();
    this.completed = beginning.then((begun) => {
      this.#begun = begun;
      if (this.#cancelled || signal?.aborted) this.#abort();
      return begun.completed;
    }).finally(() => {
      stopListening?.();
      signal?.removeEventListener("abort", abort);
    });
    this.completed.catch(() => {});
    signal?.addEventListener("abort", abort);
  }

  get status(): MigrationStatus {
    return this.#begun?.status ?? "none";
  }

  info(): MigrationInfo {
    return this.#begun?.info() ?? {};
  }

  cancel(): void {
    if (this.#begun) this.#begun.cancel();
    else this.#cancelled = true;
  }

  [Symbol.asyncIterator](): AsyncIterator<MigrationInfo> {
    return watch(this);
  }

  /** A signal that comes too late changes nothing: what has happened is said by `completed`. */
  #abort(): void {
    try {
      this.cancel();
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
    }
  }
}

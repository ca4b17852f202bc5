/**
 * The machine: RAM, vCPUs and the devices whose state travels with them. It knows how to run and to
 * stand still; it knows nothing of migration.
 *
 * @module
 */
import { type MigrationError, StateError } from "../errors.ts";
import type { Counter, Order } from "../threads/control_word.ts";
import { GuestRam } from "./guest_ram.ts";
import { guestAt, type GuestSpec, parseGuestSpec } from "./guest_spec.ts";
import { Presence } from "./presence.ts";
import { mayFollow, type RunState } from "./run_state.ts";
import { parseUuid } from "./uuid.ts";
import { Vcpu } from "./vcpu.ts";

/** A device: state outside of RAM, and the description of how it is saved and loaded. */
export interface MachineDevice {
  /** How its state is saved and loaded, under which name. */
  readonly description: { readonly name: string };
  /** What holds its state. */
  readonly instance: object;
  /** Tells devices of one name apart. @default {0} */
  readonly instanceId?: number;
}

/** A machine to be made. */
export interface MachineOptions {
  /** The machine type both sides must agree on. */
  readonly name: string;
  /** Which machine it is, such as `6d2c1b3a-5f4e-4d6c-8b7a-0123456789ab`; see `validate-uuid`. */
  readonly uuid?: string;
  /** The RAM blocks by name, each a length in bytes or an existing shared memory; or RAM as it is. */
  readonly ram: Readonly<Record<string, number | WebAssembly.Memory>> | GuestRam;
  /** What each vCPU runs: a SPEC, or the URL of a reactor (`.wasm`) or module. @default {[]} */
  readonly vcpus?: readonly (URL | string | GuestSpec)[];
  /** In the order in which they are saved. @default {[]} */
  readonly devices?: readonly MachineDevice[];
  /** What the guests get as `context.options`; it must be cloneable. */
  readonly guestOptions?: Readonly<Record<string, unknown>>;
}

/** A change of the run state. */
export interface RunStateChange {
  /** What it was. */
  readonly from: RunState;
  /** What it becomes. */
  readonly to: RunState;
}

/** Told of a change, and waited for. */
export type RunStateListener = (change: RunStateChange) => void | Promise<void>;

/** What a machine consists of, before it is one. */
export interface MachineParts
  extends Pick<Machine, "name" | "uuid" | "ram" | "vcpus" | "presence" | "devices"> {
  /** Rejects with what a guest threw, when one did. */
  readonly failed: Promise<never>;
}

/** A machine; made with `await using`, it ends with its scope. */
export class Machine implements AsyncDisposable {
  /** The machine type. */
  readonly name: string;
  /** Which machine it is, 16 bytes, if it was given a UUID. */
  readonly uuid: Uint8Array<ArrayBuffer> | undefined;
  /** Its RAM, which vCPUs write while they run. */
  readonly ram: GuestRam;
  /** Its vCPUs, in order. */
  readonly vcpus: readonly Vcpu[];
  /** Where its vCPUs wait for pages that have not arrived yet. */
  readonly presence: Presence;
  /** Its devices, in the order in which they are saved. */
  readonly devices: readonly MachineDevice[];
  /** Rejects with what a guest threw, when one did. */
  readonly failed: Promise<never>;
  #runState: RunState = "prelaunch";
  #error: MigrationError | undefined;
  #listeners: RunStateListener[] = [];
  /** Starts and stops take turns. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Makes one machine of its parts. @param parts What {@linkcode Machine.prepare} made. */
  protected constructor(parts: MachineParts) {
    this.name = parts.name;
    this.uuid = parts.uuid;
    this.ram = parts.ram;
    this.vcpus = parts.vcpus;
    this.presence = parts.presence;
    this.devices = parts.devices;
    this.failed = parts.failed;
    this.failed.catch((error) => this.#onFailure(error));
  }

  /**
   * Makes a machine and starts its vCPUs' workers; its guests begin with {@linkcode start}.
   * @throws {UsageError} If a SPEC or the UUID is not understood.
   * @throws {GuestError} If a guest's code cannot be loaded.
   * @throws {RangeError} If the RAM cannot be laid out.
   */
  static async create(options: MachineOptions): Promise<Machine> {
    return new Machine(await this.prepare(options));
  }

  /** Makes what a machine consists of. @throws As {@linkcode Machine.create}. */
  protected static async prepare(options: MachineOptions): Promise<MachineParts> {
    const uuid = options.uuid === undefined ? undefined : parseUuid(options.uuid);
    const guests = (options.vcpus ?? []).map(specOf);
    const ram = options.ram instanceof GuestRam ? options.ram : ramOf(options.ram);
    const presence = Presence.create(guests.length);
    const failure = Promise.withResolvers<never>();
    failure.promise.catch(() => {});
    const started = await Promise.allSettled(guests.map((guest, index) =>
      Vcpu.create({
        index,
        vcpus: guests.length,
        ram,
        presence,
        guest,
        options: options.guestOptions ?? {},
        onFailure: failure.reject,
      })
    ));
    const vcpus = started.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
    const failed = started.find((result) => result.status === "rejected");
    if (failed) {
      await Promise.all(vcpus.map((vcpu) => vcpu[Symbol.asyncDispose]()));
      throw failed.reason;
    }
    const { name, devices = [] } = options;
    return { name, uuid, ram, vcpus, presence, devices, failed: failure.promise };
  }

  /** What the machine is doing. */
  get runState(): RunState {
    return this.#runState;
  }

  /** Whether its vCPUs run. */
  get running(): boolean {
    return this.#runState === "running";
  }

  /** What the vCPUs have done, together; times in microseconds. */
  get counters(): Record<Counter, number> {
    const sum: Record<Counter, number> = { steps: 0, pages: 0, throttledTime: 0, idleTime: 0 };
    for (const { counters } of this.vcpus) {
      for (const [counter, value] of Object.entries(counters)) sum[counter as Counter] += value;
    }
    return sum;
  }

  /** How long the slowest vCPU took to acknowledge the last pause, in milliseconds. */
  get lastPauseTime(): number {
    return Math.max(0, ...this.vcpus.map((vcpu) => vcpu.lastPauseTime));
  }

  /**
   * Adds a listener, called for every change of the run state, in the order in which they were added,
   * each waited for. When the machine is to stop they are called first, while the vCPUs still run: a
   * service can finish what it is at. One that throws then keeps the machine running, and those called
   * before it are told so. For any other change they are called after it, and must not throw. A listener
   * must not start or stop the machine.
   * @returns Removes it.
   */
  onRunState(listener: RunStateListener): () => void {
    this.#listeners.push(listener);
    return () => this.#listeners = this.#listeners.filter((each) => each !== listener);
  }

  /**
   * Runs the vCPUs; guests that have not begun, begin.
   * @throws {StateError} If the run state does not allow it.
   * @throws {GuestError} If a guest failed.
   */
  start(): Promise<void> {
    return this.#inTurn(async () => {
      this.#check("running");
      if (this.running) return;
      // The first vCPU sets up the RAM for all.
      for (const vcpu of this.vcpus) await vcpu.begin();
      await Promise.all(this.vcpus.map((vcpu) => vcpu.run()));
      this.#refuseIfOver();
      await this.#enter("running");
    });
  }

  /**
   * Stops the machine; of one that stands still, only the run state changes.
   * @param to What its run state is then.
   * @returns When all vCPUs have acknowledged: RAM does not change any more, and each has its state.
   * @throws {StateError} If the run state does not allow it.
   * @throws {GuestError} If a guest failed.
   * @throws What a listener threw; the machine runs on.
   */
  stop(to: Exclude<RunState, "running"> = "paused"): Promise<void> {
    return this.#inTurn(async () => {
      this.#check(to);
      if (!this.running) return await this.#enter(to);
      await this.#announceStop({ from: "running", to });
      await Promise.all(this.vcpus.map((vcpu) => vcpu.pause()));
      this.#refuseIfOver();
      this.#runState = to;
    });
  }

  /**
   * Takes a share of their time from the vCPUs.
   * @param percent 0 to 99.
   * @throws {RangeError} If it is none of these.
   */
  throttle(percent: number): void {
    for (const vcpu of this.vcpus) vcpu.throttle(percent);
  }

  /**
   * Turns on or off that guests mark the pages they have written, and that they ask for the presence of
   * the pages they use.
   * @returns When every guest does: what is written from then on is marked.
   */
  async setChecks(checks: Partial<Pick<Order, "marks" | "presence">>): Promise<void> {
    await Promise.all(this.vcpus.map((vcpu) => vcpu.setChecks(checks)));
  }

  /** Ends the vCPUs, also those whose guest never returns. RAM goes when nobody refers to it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#error ??= new StateError(`Machine ${this.name} has ended`);
    await Promise.all(this.vcpus.map((vcpu) => vcpu[Symbol.asyncDispose]()));
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(action);
    this.#turn = done.catch(() => {});
    return done;
  }

  #refuseIfOver(): void {
    if (this.#error) throw this.#error;
  }

  #check(to: RunState): void {
    this.#refuseIfOver();
    if (mayFollow(this.#runState, to)) return;
    throw new StateError(`Machine ${this.name} cannot go from ${this.#runState} to ${to}`);
  }

  async #enter(to: RunState): Promise<void> {
    const from = this.#runState;
    if (from === to) return;
    this.#runState = to;
    for (const listener of this.#listeners) await listener({ from, to });
  }

  async #announceStop(change: RunStateChange): Promise<void> {
    const told: RunStateListener[] = [];
    try {
      for (const listener of this.#listeners) {
        told.push(listener);
        await listener(change);
      }
    } catch (error) {
      for (const listener of told) await listener({ from: change.to, to: change.from });
      throw error;
    }
  }

  /** A failed machine stands still as far as it can: the other vCPUs pause when their step allows. */
  #onFailure(error: MigrationError): void {
    if (this.#error) return;
    this.#error = error;
    for (const vcpu of this.vcpus) vcpu.pause().catch(() => {});
    this.#enter("internal-error").catch(() => {});
  }
}

function specOf(vcpu: URL | string | GuestSpec): GuestSpec {
  if (typeof vcpu === "string") return parseGuestSpec(vcpu);
  return vcpu instanceof URL ? guestAt(vcpu) : vcpu;
}

function ramOf(blocks: Readonly<Record<string, number | WebAssembly.Memory>>): GuestRam {
  return GuestRam.create(
    Object.entries(blocks).map(([name, block]) =>
      typeof block === "number"
        ? { name, length: block }
        : { name, length: block.buffer.byteLength, memory: block }
    ),
  );
}

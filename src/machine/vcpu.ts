/**
 * A vCPU as the main thread sees it: a worker, its control word, and, while it is paused, its state.
 *
 * @module
 */
import { GuestError, type MigrationError, StateError, WorkerFailedError } from "../errors.ts";
import {
  ControlWord,
  type Counter,
  COUNTERS,
  type Order,
  THROTTLE_MAX,
} from "../threads/control_word.ts";
import { WorkerHandle } from "../threads/worker_handle.ts";
import type { GuestRam } from "./guest_ram.ts";
import { guestName, type GuestSpec } from "./guest_spec.ts";
import type { Presence } from "./presence.ts";
import { decodeVcpuState, encodeVcpuState } from "./vcpu_state.ts";
import type { VcpuBoot, VcpuReport, VcpuStart } from "./vcpu_loop.ts";

/** A vCPU to be made. */
export interface VcpuOptions {
  /** Its number, from 0. */
  readonly index: number;
  /** How many vCPUs the machine has. */
  readonly vcpus: number;
  /** The machine's RAM. */
  readonly ram: GuestRam;
  /** Where it waits for pages. */
  readonly presence: Presence;
  /** What it runs. */
  readonly guest: GuestSpec;
  /** The machine's `guestOptions`. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Told once, when the guest or its worker failed. */
  readonly onFailure?: (error: MigrationError) => void;
}

type Worker = WorkerHandle<VcpuStart, VcpuBoot, VcpuReport>;

/** One vCPU. Its guest begins when it is first told to run, or where a loaded state says. */
export class Vcpu implements AsyncDisposable {
  /** Its number, from 0. */
  readonly index: number;
  /** What it runs. */
  readonly guest: GuestSpec;
  /** How long the last pause took to be acknowledged, in milliseconds. */
  lastPauseTime = 0;
  readonly #options: VcpuOptions;
  readonly #control = ControlWord.create();
  #channel = new MessageChannel();
  #worker: Worker | undefined;
  #error: MigrationError | undefined;
  #begun = false;
  #paused = false;
  #report: VcpuReport | undefined;
  #waiting: PromiseWithResolvers<void> | undefined;

  private constructor(options: VcpuOptions) {
    this.index = options.index;
    this.guest = options.guest;
    this.#options = options;
  }

  /**
   * Starts a vCPU's worker and loads its guest's code; nothing of the guest touches RAM yet.
   * @throws {GuestError} If the code cannot be loaded.
   * @throws {WorkerFailedError} If the worker cannot be started.
   */
  static async create(options: VcpuOptions): Promise<Vcpu> {
    const vcpu = new Vcpu(options);
    try {
      await vcpu.#startWorker();
    } catch (error) {
      await vcpu[Symbol.asyncDispose]();
      throw error;
    }
    return vcpu;
  }

  /** The other end of the guest's `context.port`; a new one after {@linkcode load} of a guest that ran. */
  get port(): MessagePort {
    return this.#channel.port1;
  }

  /** What the vCPU is told to do. */
  get order(): Order {
    return this.#control.current;
  }

  /** Whether the guest has begun: whether it has a state beside RAM. */
  get begun(): boolean {
    return this.#begun;
  }

  /** What the vCPU has done so far; times in microseconds. */
  get counters(): Record<Counter, number> {
    return Object.fromEntries(
      COUNTERS.map((counter) => [counter, this.#control.counter(counter)]),
    ) as Record<Counter, number>;
  }

  /**
   * Lets the guest begin, paused before its first step. vCPU 0 of a machine must begin before the others.
   * @throws {GuestError} If the guest cannot start.
   */
  async begin(): Promise<void> {
    if (!this.#begun) await this.#boot(undefined);
  }

  /**
   * Puts the guest where {@linkcode state} found it, in this process or another.
   * @throws {IncompatibleError} If the state is not one of this guest.
   * @throws {GuestError} If the guest does not take it.
   */
  async load(state: Uint8Array): Promise<void> {
    const saved = decodeVcpuState(state);
    if (this.#begun) await this.#replaceWorker();
    if (saved) await this.#boot(saved);
  }

  /**
   * The vCPU's state beside RAM.
   * @throws {StateError} Unless it is paused.
   */
  state(): Uint8Array<ArrayBuffer> {
    if (!this.#begun) return encodeVcpuState(undefined);
    const saved = this.#report?.state;
    if (!this.#paused || !saved) throw new StateError(`vCPU ${this.index} is not paused`);
    return encodeVcpuState(saved);
  }

  /** Lets the guest run. @returns When it does. */
  async run(): Promise<void> {
    await this.begin();
    this.#paused = false;
    await this.#order({ command: "run" });
  }

  /**
   * Pauses the guest.
   * @returns When it is: after the step it is in.
   * @throws {GuestError} If the guest failed instead.
   */
  async pause(): Promise<void> {
    const from = performance.now();
    await this.#order({ command: "pause" });
    this.#paused = this.#control.current.command === "pause";
    this.lastPauseTime = performance.now() - from;
  }

  /**
   * Takes a share of its time from the vCPU.
   * @param percent 0 to {@linkcode THROTTLE_MAX}.
   * @throws {RangeError} If it is none of these.
   */
  throttle(percent: number): void {
    if (!Number.isInteger(percent) || percent < 0 || percent > THROTTLE_MAX) {
      throw new RangeError(`Throttle of ${percent} percent`);
    }
    this.#control.order({ throttle: percent });
  }

  /** Turns the guest's marks and presence checks on or off. @returns When it knows. */
  async setChecks(checks: Partial<Pick<Order, "marks" | "presence">>): Promise<void> {
    await this.#order(checks);
  }

  /** Ends the vCPU, also one whose guest never returns from its step. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#error ??= new StateError(`vCPU ${this.index} has ended`);
    this.#waiting?.reject(this.#error);
    await this.#worker?.stop();
    this.#channel.port1.close();
  }

  async #startWorker(): Promise<void> {
    const { index, vcpus, ram, presence, guest, options } = this.#options;
    const { port2 } = this.#channel;
    const worker: Worker = await WorkerHandle.start<VcpuStart, VcpuBoot, VcpuReport>({
      name: `vCPU ${index}`,
      url: new URL("../../workers/vcpu.ts", import.meta.url),
      start: {
        index,
        vcpus,
        ram: ram.layout,
        control: this.#control.memory,
        presence: presence.memory,
        guest,
        options,
        port: port2,
      },
      transfer: [port2],
      onMessage: (report) => this.#reported(report),
      interrupt: () => this.#control.order({ command: "stop" }),
    });
    worker.ended.catch((error) => this.#failed(error));
    this.#worker = worker;
  }

  /** A guest that has begun cannot begin again: its code and RAM are bound to each other. */
  async #replaceWorker(): Promise<void> {
    await this.#worker?.stop();
    this.#channel.port1.close();
    this.#channel = new MessageChannel();
    this.#begun = false;
    this.#control.order({ command: "pause" });
    await this.#startWorker();
  }

  async #boot(state: Uint8Array | undefined): Promise<void> {
    this.#begun = true;
    this.#worker?.post({ state });
    await this.pause();
  }

  async #order(change: Partial<Order>): Promise<void> {
    this.#control.order(change);
    // Before it has begun nobody looks at the word; it is seen when the guest begins.
    if (this.#begun) await this.#obeyed();
  }

  /** Waits for the acknowledgement of the latest order. */
  async #obeyed(): Promise<void> {
    if (this.#error) throw this.#error;
    if (this.#report?.word === this.#control.word) return;
    this.#waiting ??= Promise.withResolvers();
    await this.#waiting.promise;
  }

  #reported(report: VcpuReport): void {
    this.#report = report;
    if (report.word !== this.#control.word) return;
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  #failed(thrown: MigrationError): void {
    if (this.#error) return;
    let error = thrown;
    if (error instanceof WorkerFailedError) {
      // What fails in this worker outside of a step is a timer or event of the guest, or its exit.
      const who = `Guest ${guestName(this.guest)} on vCPU ${this.index}`;
      const what = error.cause instanceof Error ? error.cause : error;
      error = new GuestError(`${who} failed: ${what.name}: ${what.message}`, { cause: thrown });
    }
    this.#error = error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
    this.#options.onFailure?.(error);
  }
}

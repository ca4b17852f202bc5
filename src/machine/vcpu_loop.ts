/**
 * A vCPU's thread: step after step of its guest, and a look at the control word between two of them.
 *
 * A pause is acknowledged with the guest's state, after which the thread blocks until the word changes:
 * not even the guest's timers run.
 *
 * @module
 */
import { ControlWord, decodeOrder, type Order } from "../threads/control_word.ts";
import { threadId } from "../os/thread_id.ts";
import type { WorkerPort } from "../threads/worker_port.ts";
import type { Guest, GuestContext } from "./guest.ts";
import { GuestChecks } from "./guest_checks.ts";
import { asGuestError, loadGuestProgram } from "./guest_program.ts";
import { GuestRam, type GuestRamLayout } from "./guest_ram.ts";
import { Presence } from "./presence.ts";
import type { RamBlock } from "./ram_block.ts";
import { guestName, type GuestSpec } from "./guest_spec.ts";
import { VcpuClock } from "./vcpu_clock.ts";

/** A throttled vCPU runs so long between two sleeps, in milliseconds (as QEMU's do). */
const SLICE_MS = 10;
/** A guest with events waits no longer than this for a turn of the event loop, in milliseconds. */
const TURN_MS = 4;

/** What a vCPU's thread is started with. */
export interface VcpuStart {
  /** Its number, from 0. */
  readonly index: number;
  /** How many vCPUs the machine has. */
  readonly vcpus: number;
  /** The machine's RAM. */
  readonly ram: GuestRamLayout;
  /** The memory of its control word. */
  readonly control: SharedArrayBuffer;
  /** The memory of the machine's {@linkcode Presence}. */
  readonly presence: SharedArrayBuffer;
  /** What it runs. */
  readonly guest: GuestSpec;
  /** The machine's `guestOptions`. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The guest's port. */
  readonly port: MessagePort;
}

/** The one message it gets: where to start from. */
export interface VcpuBoot {
  /** What the guest saved, or `undefined` for one that begins. */
  readonly state: Uint8Array | undefined;
}

/** What it answers to every control word. */
export interface VcpuReport {
  /** The word it has acknowledged. */
  readonly word: number;
  /** What the guest saved, if it is paused. */
  readonly state: Uint8Array | undefined;
}

/**
 * Runs a vCPU until it is stopped.
 * @param start Its machine, guest and control word.
 * @param port Where it gets its {@linkcode VcpuBoot} and reports.
 * @throws {MigrationError} What the guest threw.
 */
export async function runVcpu(
  start: VcpuStart,
  port: WorkerPort<VcpuBoot, VcpuReport>,
): Promise<void> {
  const who = `Guest ${guestName(start.guest)} on vCPU ${start.index}`;
  let doing = "could not be loaded";
  try {
    const program = await loadGuestProgram(start.guest);
    port.ready();
    const boot = await port.receive();
    if (!boot) return;
    doing = boot.state ? "could not go on from its state" : "could not start";
    const ram = new GuestRam(start.ram);
    const thread = new VcpuThread(start, ram, boot.state !== undefined);
    const guest = await program.open(ram, thread.checks, thread.context);
    if (boot.state) guest.load?.(boot.state);
    doing = "failed";
    await thread.run(guest, program.hasEvents, (report) => port.post(report));
  } catch (thrown) {
    if (thrown === STOPPED) return;
    throw asGuestError(who, doing, thrown);
  }
}

/** Thrown through a guest's step that waits for a page when its vCPU is to stop. */
const STOPPED = new Error("The vCPU was stopped");

class VcpuThread {
  readonly checks: GuestChecks;
  readonly context: GuestContext;
  readonly #control: ControlWord;
  readonly #index: number;
  readonly #presence: Presence;
  readonly #pageSize: number;
  readonly #isStopped = () => decodeOrder(this.#control.word).command === "stop";
  readonly #clock = new VcpuClock();

  constructor(start: VcpuStart, ram: GuestRam, resumed: boolean) {
    this.checks = new GuestChecks(ram.pageSize);
    this.#control = new ControlWord(start.control);
    this.#index = start.index;
    this.#pageSize = ram.pageSize;
    this.#presence = new Presence(start.presence);
    this.#presence.setThread(start.index, threadId());
    this.checks.waitForPages = (block, offset, length) => this.#waitForPages(block, offset, length);
    this.context = {
      ram: Object.fromEntries(ram.blocks.map((block) => [block.name, block])),
      index: start.index,
      vcpus: start.vcpus,
      options: { ...start.options, ...("options" in start.guest && start.guest.options) },
      resumed,
      port: start.port,
      clock: () => this.#clock.now(),
      markWritten: (block, offset, length) => this.checks.mark(block, offset, length),
      ensurePresent: (block, offset, length) => this.checks.ensure(block, offset, length),
      countPages: (pages) => this.#control.count("pages", BigInt(pages)),
    };
  }

  async run(guest: Guest, hasEvents: boolean, report: (report: VcpuReport) => void): Promise<void> {
    let word = 0;
    let order: Order | undefined;
    let slice = performance.now();
    let turn = slice;
    for (;;) {
      const now = this.#control.word;
      if (now !== word || !order) {
        // What it ran without a throttle is nothing to sleep for.
        if (!order?.throttle) slice = performance.now();
        word = now;
        order = decodeOrder(word);
        this.#obey(order, word, guest, report);
      }
      if (order.command === "stop") return;
      if (order.command === "pause") {
        const from = performance.now();
        this.#control.wait(word);
        this.#clock.lose(from);
        slice = turn = performance.now();
        continue;
      }
      if (order.throttle > 0 && performance.now() - slice >= SLICE_MS) {
        this.#throttle(word, order.throttle, performance.now() - slice);
        slice = performance.now();
        continue;
      }
      const result = guest.step();
      const idle = typeof result === "object" ? await result : result;
      this.#control.countStep();
      if (idle) {
        const left = order.throttle > 0 ? slice + SLICE_MS - performance.now() : Infinity;
        await this.#idle(word, Math.min(idle, left), hasEvents);
        turn = performance.now();
      } else if (hasEvents && performance.now() - turn >= TURN_MS) {
        await new Promise<void>((resolve) => setImmediate(resolve));
        turn = performance.now();
      }
    }
  }

  #obey(order: Order, word: number, guest: Guest, report: (report: VcpuReport) => void): void {
    this.checks.marks = order.marks;
    this.checks.presence = order.presence;
    const state = order.command === "pause" ? guest.save?.() ?? new Uint8Array() : undefined;
    this.#control.acknowledge(word);
    report({ word, state });
  }

  #waitForPages(block: RamBlock, offset: number, length: number): void {
    const { received } = block;
    const end = Math.min(Math.ceil((offset + length) / this.#pageSize), block.pageCount);
    for (let page = Math.floor(offset / this.#pageSize); page < end; page++) {
      page = received.next(page, false, end);
      if (page === end) return;
      if (!this.#presence.waitFor(this.#index, block, page, this.#isStopped)) throw STOPPED;
    }
  }

  /** Sleeps so that what ran until now was `100 - percent` of the time. */
  #throttle(word: number, percent: number, ran: number): void {
    const from = performance.now();
    this.#control.wait(word, ran * percent / (100 - percent));
    const slept = this.#clock.lose(from);
    this.#control.count("throttledTime", BigInt(Math.round(slept * 1000)));
  }

  async #idle(word: number, milliseconds: number, hasEvents: boolean): Promise<void> {
    if (!(milliseconds > 0)) return;
    const from = performance.now();
    if (hasEvents) await this.#control.waitAsync(word, milliseconds);
    else this.#control.wait(word, milliseconds);
    this.#control.count("idleTime", BigInt(Math.round((performance.now() - from) * 1000)));
  }
}

/**
 * How fast a machine's RAM is written (wire-format §11.3, `calc-dirty-rate`; QEMU `migration/dirtyrate.c`):
 * by digests of some pages, which is cheap and counts a page once, or by the dirty log, which sees all.
 *
 * @module
 */
import { SettingError, StateError } from "../errors.ts";
import type { Machine } from "../machine/machine.ts";
import type { DirtyLogKind } from "../dirty/dirty_log.ts";
import type { DirtyLogTurns, LogBorrower } from "./dirty_log_turns.ts";
import { MachineLog } from "./machine_log.ts";
import { PageSamples } from "./page_samples.ts";

const MIB = 1024 ** 2;

/** How it is found out; `dirty-ring` is KVM's. */
export type DirtyRateMode = "page-sampling" | "dirty-ring" | "dirty-bitmap";

/** What is to be measured. */
export interface DirtyRateOptions {
  /** For how long, in milliseconds. */
  readonly calcTime: number;
  /** How it is found out. */
  readonly mode: DirtyRateMode;
  /** How many pages of each GiB are looked at, with `page-sampling`. */
  readonly samplePages: number;
}

/** What was measured last. */
export interface DirtyRateResult extends DirtyRateOptions {
  /** How far it is. */
  readonly status: "unstarted" | "measuring" | "measured";
  /** When it began, in seconds since 1970. */
  readonly startTime: number;
  /** MiB a second, once it is measured. */
  readonly rate?: number;
  /** Each vCPU's, in the same unit, where the mode tells them apart. */
  readonly vcpuRates?: readonly number[];
}

/** What is known before anything was measured. */
export const NOTHING_MEASURED: DirtyRateResult = {
  ...{ status: "unstarted", startTime: 0 },
  ...{ calcTime: 1000, mode: "page-sampling", samplePages: 512 },
};

/** Measures one machine. */
export class DirtyRate {
  #result = NOTHING_MEASURED;
  #abort: AbortController | undefined;
  #measured: Promise<void> = Promise.resolve();

  /**
   * @param machine Whose RAM.
   * @param turns The machine's dirty log.
   * @param wantedLog The maker of the dirty log, when the user insists on one.
   */
  constructor(
    private readonly machine: Machine,
    private readonly turns: DirtyLogTurns,
    private readonly wantedLog?: DirtyLogKind,
  ) {}

  /** Resolves when nothing is being measured any more. */
  get measured(): Promise<void> {
    return this.#measured;
  }

  /**
   * Begins to measure.
   * @throws {StateError} If it is measuring already, the machine is still arriving, or the dirty log is in use
   * by a migration or by the limits of vCPUs.
   * @throws {SettingError} If the mode is not possible here.
   */
  calculate(options: DirtyRateOptions): void {
    if (this.#abort) throw new StateError("The dirty rate is already being measured");
    if (this.turns.arriving) {
      throw new StateError(
        "The machine is still arriving: nothing writes its RAM but the migration",
      );
    }
    const { calcTime, mode, samplePages } = options;
    if (mode === "dirty-ring") {
      throw new SettingError("Mode 'dirty-ring' is not possible: only KVM has dirty rings", {
        advice: "Use dirty-bitmap.",
      });
    }
    const abort = new AbortController();
    const measure = mode === "page-sampling"
      ? this.#bySamples(calcTime, samplePages, abort.signal)
      : this.#byLog(calcTime, abort);
    this.#abort = abort;
    const begun = {
      ...{ calcTime, mode, samplePages },
      startTime: Math.floor(Date.now() / 1000),
    };
    this.#result = { ...begun, status: "measuring" };
    this.#measured = measure().then(
      (rate) => void (this.#result = { ...begun, status: "measured", rate }),
      () => void (this.#result = { ...begun, status: "unstarted" }),
    ).finally(() => this.#abort = undefined);
  }

  /** What is known, or what would be measured if nothing was yet. */
  query(): DirtyRateResult {
    return this.#result;
  }

  /** Gives up. @returns When it is over. */
  async cancel(): Promise<void> {
    this.#abort?.abort();
    await this.#measured;
  }

  #bySamples(time: number, perGib: number, signal: AbortSignal): () => Promise<number> {
    return async () => {
      const samples = await PageSamples.take(this.machine.ram, perGib, signal);
      const start = performance.now();
      await pause(time, signal);
      const milliseconds = performance.now() - start;
      return await samples.written(signal) / MIB / milliseconds * 1000;
    };
  }

  #byLog(time: number, abort: AbortController): () => Promise<number> {
    const log = new MachineLog(this.machine, this.wantedLog);
    log.requireMeasuring();
    const { signal } = abort;
    const borrower: LogBorrower = { giveUp: () => this.cancel() };
    if (!this.turns.migrating && !this.turns.free) {
      // QEMU refuses it, too: vCPUs can have limits only where KVM has dirty rings, and no bitmap.
      throw new StateError(
        "Mode 'dirty-bitmap' is not enabled while vCPUs have limits, use other method instead",
        { advice: "Measure by page-sampling, or cancel the limits." },
      );
    }
    this.turns.borrow(borrower);
    return async () => {
      try {
        for (const { dirty, pageCount } of this.machine.ram.blocks) dirty.fill(0, pageCount, false);
        await log.start();
        const start = performance.now();
        await pause(time, signal);
        const pages = await log.sync();
        const milliseconds = performance.now() - start;
        return pages * this.machine.ram.pageSize / MIB / milliseconds * 1000;
      } finally {
        await log.stop();
        this.turns.giveBack(borrower);
      }
    };
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

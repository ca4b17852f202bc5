/**
 * Limits to what a machine's vCPUs write, whether it is migrating or not (QMP's `set-vcpu-dirty-limit`):
 * while a migration runs its reads of the dirty log are enough, otherwise the log is read for the limits
 * alone.
 *
 * @module
 */
import type { DirtyLogKind } from "../dirty/dirty_log.ts";
import type { MigrationError } from "../errors.ts";
import { asMigrationError } from "../errors.ts";
import type { Machine } from "../machine/machine.ts";
import { type DirtyLimitInfo, VcpuDirtyLimit } from "./dirty_limit.ts";
import type { DirtyLogTurns } from "./dirty_log_turns.ts";
import { MachineLog } from "./machine_log.ts";

/** One machine's limits. */
export class DirtyLimiter implements AsyncDisposable {
  /** The limits themselves; a migration feeds them while it runs. */
  readonly limit: VcpuDirtyLimit;
  /** Why the limits cannot be kept any more, if that is so. */
  error: MigrationError | undefined;
  /** The reading that goes on, and what ends it. */
  #reading: { readonly stop: () => void; readonly over: Promise<void> } | undefined;

  /**
   * @param machine Whose vCPUs.
   * @param turns The machine's dirty log.
   * @param wantedLog The maker of the dirty log, when the user insists on one.
   */
  constructor(
    private readonly machine: Machine,
    private readonly turns: DirtyLogTurns,
    private readonly wantedLog?: DirtyLogKind,
  ) {
    this.limit = new VcpuDirtyLimit(machine.vcpus);
  }

  /**
   * Sets a limit.
   * @param rate MB a second; 0 takes it away.
   * @param vcpu Which vCPU. @default {all}
   * @throws {StateError} If there is no such vCPU, or the dirty log is in use by a measurement.
   * @throws {SettingError} If no dirty log here can measure.
   */
  set(rate: number, vcpu?: number): void {
    const log = new MachineLog(this.machine, this.wantedLog);
    if (rate > 0) log.requireMeasuring();
    const before = this.limit.active;
    this.limit.set(rate, vcpu);
    try {
      if (this.limit.active && this.turns.migrating) this.turns.waitFor(this);
      else if (this.limit.active && !this.#reading) this.#read(log);
    } catch (error) {
      if (!before) this.limit.cancel();
      throw error;
    }
    if (!this.limit.active) this.#reading?.stop();
  }

  /** Takes a limit away. @param vcpu Which vCPU's. @default {all} */
  cancel(vcpu?: number): void {
    this.limit.cancel(vcpu);
    if (!this.limit.active) this.#reading?.stop();
  }

  /** Those that have one; MB a second. */
  query(): DirtyLimitInfo[] {
    return this.limit.query();
  }

  // ── LogBorrower ───────────────────────────────────────────────────────────────────────────────

  /** A migration takes the log, and feeds the limits from then on. */
  async giveUp(): Promise<void> {
    this.#reading?.stop();
    await this.#reading?.over;
  }

  /** The migration is over. */
  returned(): void {
    const gone = this.machine.runState === "postmigrate";
    if (!this.limit.active || this.#reading || gone) return;
    this.#read(new MachineLog(this.machine, this.wantedLog));
  }

  /** Ends all limits. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.limit.cancel();
    await this.giveUp();
  }

  #read(log: MachineLog): void {
    this.turns.borrow(this);
    const stopped = Promise.withResolvers<void>();
    const over = this.#readUntil(log, stopped.promise).catch((error) => {
      this.error = asMigrationError(error);
      this.limit.cancel();
    }).finally(() => {
      this.#reading = undefined;
      this.turns.giveBack(this);
      // Somebody may have set a limit while the last one's reading ended.
      if (this.turns.free) this.returned();
    });
    this.#reading = { stop: stopped.resolve, over };
  }

  async #readUntil(log: MachineLog, stopped: Promise<void>): Promise<void> {
    const { ram } = this.machine;
    let running = true;
    stopped.then(() => running = false);
    try {
      await log.start();
      let last = performance.now();
      while (running) {
        for (const { dirty, pageCount } of ram.blocks) dirty.fill(0, pageCount, false);
        await pause(this.limit.period, stopped);
        if (!running) break;
        const pages = await log.sync();
        const now = performance.now();
        this.limit.observe(pages * ram.pageSize, now - last);
        last = now;
      }
    } finally {
      await log.stop();
    }
  }
}

async function pause(milliseconds: number, stopped: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const time = new Promise<void>((resolve) => timer = setTimeout(resolve, milliseconds));
  await Promise.race([time, stopped]);
  clearTimeout(timer);
}

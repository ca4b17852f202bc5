/**
 * Everything that looks at who writes a machine's RAM, so that none gets in another's way: its migrations,
 * the measurement of its dirty rate, the limits of its vCPUs.
 *
 * @module
 */
import type { DirtyLogKind } from "../dirty/dirty_log.ts";
import type { Machine } from "../machine/machine.ts";
import { DirtyLimiter } from "./dirty_limiter.ts";
import { DirtyLogTurns } from "./dirty_log_turns.ts";
import { DirtyRate } from "./dirty_rate.ts";
import { MachineSource } from "./machine_source.ts";
import type { RamOwner } from "./machine_target.ts";

/** One machine's; make it once. */
export class MachineDirtying implements RamOwner, AsyncDisposable {
  /** For `calc-dirty-rate` and `query-dirty-rate`. */
  readonly rate: DirtyRate;
  /** For `set-vcpu-dirty-limit` and its pair. */
  readonly limiter: DirtyLimiter;
  readonly #turns = new DirtyLogTurns();

  /**
   * @param machine Whose RAM is written.
   * @param wantedLog The maker of the dirty log, when the user insists on one.
   */
  constructor(private readonly machine: Machine, private readonly wantedLog?: DirtyLogKind) {
    this.rate = new DirtyRate(machine, this.#turns, wantedLog);
    this.limiter = new DirtyLimiter(machine, this.#turns, wantedLog);
  }

  /** The machine as the source of a migration, which takes the log from all others. */
  source(): MachineSource {
    return new MachineSource(this.machine, this.wantedLog, {
      turns: this.#turns,
      dirtyLimit: this.limiter.limit,
    });
  }

  /** The machine arrives: what goes on here ends, or waits. */
  async arriving(): Promise<void> {
    await this.#turns.beginArrival();
    await this.rate.cancel();
  }

  /** It has arrived, or will not. */
  arrived(): void {
    this.#turns.endMigration();
  }

  /** Ends what goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.rate.cancel();
    await this.limiter[Symbol.asyncDispose]();
  }
}

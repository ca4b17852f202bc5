/**
 * Makes the guest of an outgoing migration slower, if the capabilities say so: all of it (auto-converge)
 * or what each vCPU writes (dirty-limit); wire-format §10.5.
 *
 * @module
 */
import { DirtyTrigger, nextThrottle } from "./auto_converge.ts";
import type { Capabilities } from "./capabilities.ts";
import type { MigrationInfo } from "./migration_info.ts";
import type { OutgoingMachine } from "./outgoing_machine.ts";
import type { Parameters } from "./parameters.ts";

/** One migration's throttle. */
export class OutgoingThrottle {
  readonly #trigger = new DirtyTrigger(performance.now());
  readonly #on: boolean;
  #percentage = 0;
  #limited = false;
  #lastSync = performance.now();

  /** @param machine Whose guest it is. */
  constructor(
    private readonly machine: OutgoingMachine,
    private readonly capabilities: Capabilities,
  ) {
    this.#on = capabilities["auto-converge"] || capabilities["dirty-limit"];
  }

  /**
   * The dirty log was read.
   * @param dirtied Bytes dirtied since the last time.
   * @param transferred Bytes sent since the migration began.
   */
  synced(dirtied: number, transferred: number, parameters: Parameters): void {
    const now = performance.now();
    const { dirtyLimit } = this.machine;
    if (dirtyLimit) {
      dirtyLimit.period = parameters["x-vcpu-dirty-limit-period"];
      dirtyLimit.observe(dirtied, now - this.#lastSync);
    }
    this.#lastSync = now;
    if (!this.#on) return;
    const much = this.#trigger.synced({ now, dirtied, transferred }, parameters);
    if (!much) return;
    if (this.capabilities["auto-converge"]) {
      this.#percentage = nextThrottle(this.#percentage, much, parameters);
      this.machine.throttle?.(this.#percentage);
    } else {
      this.#limited = dirtyLimit !== undefined;
      dirtyLimit?.set(parameters["vcpu-dirty-limit"]);
    }
  }

  /** Whether the dirty log should be read in the middle of a round. */
  get wantsSync(): boolean {
    return this.#on && this.#trigger.wantsSync(performance.now());
  }

  /** The migration is over: the guest gets back what was taken from it. */
  end(): void {
    if (this.#percentage > 0) this.machine.throttle?.(0);
    if (this.#limited) this.machine.dirtyLimit?.cancel();
    this.#percentage = 0;
    this.#limited = false;
  }

  /** What `query-migrate` says of it. */
  info(): MigrationInfo {
    const { dirtyLimit } = this.machine;
    return {
      ...(this.#percentage > 0 && { "cpu-throttle-percentage": this.#percentage }),
      ...(dirtyLimit?.active && {
        "dirty-limit-throttle-time-per-round": dirtyLimit.throttleTimePerRound,
        "dirty-limit-ring-full-time": dirtyLimit.ringFullTime,
      }),
    };
  }
}

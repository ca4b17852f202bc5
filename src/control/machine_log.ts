/**
 * The dirty log of a machine that runs: the maker that suits its guests, which are told to mark what they
 * write if that is what the maker needs.
 *
 * @module
 */
import { chooseDirtyLog, type DirtyLogChoice } from "../dirty/choose.ts";
import type { DirtyLogKind } from "../dirty/dirty_log.ts";
import { SettingError } from "../errors.ts";
import type { Machine } from "../machine/machine.ts";

/** One machine's log, for one time. */
export class MachineLog {
  /** What was chosen. */
  readonly choice: DirtyLogChoice;
  #started = false;

  /**
   * @param machine Whose RAM is watched.
   * @param wanted The maker, when the user insists on one.
   * @throws {SettingError} If the wanted maker does not work here.
   */
  constructor(private readonly machine: Machine, wanted?: DirtyLogKind) {
    this.choice = chooseDirtyLog(machine.ram, {
      barrierCapable: machine.vcpus.every(({ guest }) =>
        guest.kind === "beat" || guest.kind === "stress" || guest.options.marks === "on"
      ),
      wanted,
    });
  }

  /**
   * Refuses a log that knows only what changed since a page was sent.
   * @throws {SettingError} If it is one.
   */
  requireMeasuring(): void {
    if (this.choice.log.kind !== "hash") return;
    throw new SettingError(
      `The dirty log here cannot measure without a migration: ${this.choice.description}`,
      { advice: "Measure by page-sampling." },
    );
  }

  /** Begins; the guests mark what they write before it has. */
  async start(): Promise<void> {
    this.#started = true;
    const { log } = this.choice;
    if (log.kind === "barrier") await this.machine.setChecks({ marks: true });
    await log.start();
  }

  /** As {@linkcode DirtyLog.sync}. */
  async sync(): Promise<number> {
    return await this.choice.log.sync();
  }

  /** Ends it; no effect if it does not run. */
  async stop(): Promise<void> {
    if (!this.#started) return;
    this.#started = false;
    const { log } = this.choice;
    await log.stop();
    if (log.kind === "barrier") await this.machine.setChecks({ marks: false });
  }
}

/**
 * The RAM of a machine that is taken over before all of it has come: how its guest is kept from what is
 * missing, and for how long it stood still for that (wire-format §8.4 and §8.5).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { FaultThread } from "../postcopy/fault_thread.ts";
import { forgetParts } from "../postcopy/incoming_commands.ts";
import { type FaultKind, MissingRam } from "../postcopy/missing_ram.ts";
import type { MissingRamLayout } from "../ram/load_loop.ts";
import type { PostcopyGuest } from "./incoming_target.ts";
import type { MigrationInfo } from "./migration_info.ts";

/** What {@linkcode ArrivingPages} are made of. */
export interface ArrivingPagesOptions {
  readonly ram: GuestRam;
  /** Who will run on it; without one the machine is kept, and nobody waits for its pages. */
  readonly guest: PostcopyGuest | undefined;
  /** What asks the source for pages. */
  readonly faults: FaultThread;
  /** How guests are to be kept from missing pages, if the user insists on one way. */
  readonly wantedFaults: FaultKind | undefined;
}

/** The pages that come while the guest runs. */
export class ArrivingPages implements Disposable {
  readonly #missing: MissingRam;

  /**
   * Makes missing what has not come.
   * @throws {StreamFormatError} If a page of the source's host has come in parts.
   * @throws {SettingError} If guests cannot be kept from pages in the way that is wanted.
   */
  constructor(private readonly options: ArrivingPagesOptions) {
    const { ram, guest, wantedFaults } = options;
    requireWholePages(ram);
    this.#missing = MissingRam.create(ram, guest?.presence, wantedFaults);
  }

  /** What places pages has to know of who misses them; `undefined` if no guest will run. */
  get layout(): MissingRamLayout | undefined {
    return this.options.guest && this.#missing.layout;
  }

  /** From here on the source is asked for what the guest wants. */
  async watch(): Promise<void> {
    const { guest, faults } = this.options;
    if (this.#missing.kind === "checks") await guest?.askForPages(true);
    await faults.watch(this.#missing.layout);
  }

  /** Every page is there: nobody asks any more. */
  async allHere(): Promise<void> {
    const { guest, faults } = this.options;
    await faults.unwatch();
    this.#missing[Symbol.dispose]();
    if (this.#missing.kind === "checks") await guest?.askForPages(false);
  }

  /** What `query-migrate` says of it. @param withBlocktime Whether that is wanted. */
  info(withBlocktime: boolean): MigrationInfo {
    const missing = this.#missing;
    const faults: MigrationInfo = this.options.guest
      ? { "postcopy-faults": missing.description }
      : {};
    if (!withBlocktime) return faults;
    const { total, perVcpu, averages, latencies } = missing.blocktime;
    return {
      ...faults,
      "postcopy-blocktime": Math.round(total),
      "postcopy-vcpu-blocktime": perVcpu.map(Math.round),
      "postcopy-latency": Math.round(latencies.average),
      "postcopy-vcpu-latency": averages.slice(0, -1).map(Math.round),
      "postcopy-non-vcpu-latency": Math.round(averages.at(-1)!),
      "postcopy-latency-dist": latencies.distribution,
      "postcopy-latency-p50": Math.round(latencies.p50),
      "postcopy-latency-p99": Math.round(latencies.p99),
    };
  }

  /** Nothing is watched any more. */
  [Symbol.dispose](): void {
    this.#missing[Symbol.dispose]();
  }
}

/** A page of the host is discarded as a whole, so that it is there as a whole or not at all. */
function requireWholePages(ram: GuestRam): void {
  for (const block of ram.blocks) {
    const parts = forgetParts(ram, block);
    if (parts === 0) continue;
    throw new StreamFormatError(
      `${parts} pages of RAM block "${block.name}" are parts of pages of ${block.hostPageSize} bytes ` +
        "that have not come as a whole",
    );
  }
}

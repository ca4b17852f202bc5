/**
 * When and by how much a guest is throttled that writes faster than the connection carries: a pure
 * function of what was measured (wire-format §10.5; QEMU `migration/ram.c`, `migration_trigger_throttle`
 * and `mig_throttle_guest_down`).
 *
 * @module
 */
import type { Parameters } from "./parameters.ts";

/** The guest's writing is judged over at least this long, in milliseconds. */
const PERIOD_MS = 1000;
/** So many periods of too much writing, not necessarily in a row, make the guest slower. */
const PERIODS = 2;
/** After so long without a look at the dirty log there is one, in milliseconds. */
const SYNC_EVERY_MS = 5000;

/** A read of the dirty log. */
export interface SyncFacts {
  /** When, in milliseconds. */
  readonly now: number;
  /** How many bytes were dirtied since the one before. */
  readonly dirtied: number;
  /** Bytes sent since the migration began. */
  readonly transferred: number;
}

/** A period in which the guest wrote too much, and with the one before it too often. */
export interface TooMuch {
  /** What it wrote, in bytes. */
  readonly dirtied: number;
  /** What would have been allowed, in bytes. */
  readonly allowed: number;
}

/** Judges the guest's writing. */
export class DirtyTrigger {
  #start: number;
  #lastSync: number;
  #syncs = 0;
  #dirtied = 0;
  #transferred = 0;
  #high = 0;

  /** @param now When the migration begins, in milliseconds. */
  constructor(now: number) {
    this.#start = now;
    this.#lastSync = now;
  }

  /**
   * The dirty log was read.
   * @returns How much too much it was, if the guest is to become slower.
   */
  synced(facts: SyncFacts, parameters: Parameters): TooMuch | undefined {
    this.#syncs++;
    this.#lastSync = facts.now;
    this.#dirtied += facts.dirtied;
    if (facts.now - this.#start <= PERIOD_MS) return undefined;
    const dirtied = this.#dirtied;
    const allowed = (facts.transferred - this.#transferred) *
      parameters["throttle-trigger-threshold"] / 100;
    this.#start = facts.now;
    this.#dirtied = 0;
    this.#transferred = facts.transferred;
    if (dirtied <= allowed || ++this.#high < PERIODS) return undefined;
    this.#high = 0;
    return { dirtied, allowed };
  }

  /**
   * Whether the dirty log should be read although the round goes on: in a long one nothing else would
   * notice how much the guest writes. Not in the first, which has all of RAM to send.
   */
  wantsSync(now: number): boolean {
    return this.#syncs > 1 && now - this.#lastSync >= SYNC_EVERY_MS;
  }
}

/**
 * By how much the guest is to be throttled next.
 * @param current By how much it is, in percent; 0 if it is not.
 * @returns Percent.
 */
export function nextThrottle(current: number, much: TooMuch, parameters: Parameters): number {
  if (current === 0) return parameters["cpu-throttle-initial"];
  let step = parameters["cpu-throttle-increment"];
  if (parameters["cpu-throttle-tailslow"]) {
    const share = 100 - current;
    const ideal = Math.floor(share * much.allowed / much.dirtied);
    step = Math.min(step, share - ideal);
  }
  return Math.min(current + step, parameters["max-cpu-throttle"]);
}

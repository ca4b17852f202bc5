/**
 * A limit to what each vCPU writes (wire-format §10.5; QEMU `softmmu/dirtylimit.c`). QEMU counts by KVM's
 * dirty ring, which there is only for KVM's vCPUs. Here what the dirty log shows of all vCPUs together is
 * shared out among them: by the pages that their guests say they wrote, and where no guest says anything,
 * by the time that each ran.
 *
 * A vCPU that wrote more than it may gets a smaller share of the time, in proportion; one that is held
 * back and wrote less gets a larger one.
 *
 * @module
 */
import { StateError } from "../errors.ts";
import { type Counter, THROTTLE_MAX } from "../threads/control_word.ts";

/** The unit of limits, in bytes. */
const MB = 1024 ** 2;
/** A vCPU runs so long between two sleeps, in microseconds (`machine/vcpu_loop.ts`). */
const SLICE_US = 10_000;
/** Of what a vCPU may be given back, it is given so much at once: too much would swing. */
const EASE = 0.5;

/** A vCPU as far as it is limited. */
export interface LimitedVcpu {
  /** Times in microseconds. */
  readonly counters: Readonly<Record<Counter, number>>;
  /** Takes a share of its time, in percent. */
  throttle(percent: number): void;
}

/** One vCPU's limit; MB a second. */
export interface DirtyLimitInfo {
  readonly vcpu: number;
  readonly limit: number;
  /** What it wrote lately. */
  readonly current: number;
}

interface State {
  readonly vcpu: LimitedVcpu;
  /** MB a second; `undefined`: none. */
  limit: number | undefined;
  /** MB a second, lately. */
  rate: number;
  /** Percent. */
  throttle: number;
  before: Readonly<Record<Counter, number>>;
}

/** The limits of one machine's vCPUs. Somebody who reads the dirty log must feed {@linkcode observe}. */
export class VcpuDirtyLimit {
  readonly #states: State[];
  /** How long is looked before a share is changed, in milliseconds (`x-vcpu-dirty-limit-period`). */
  period = 1000;
  #seen = { dirtied: 0, milliseconds: 0 };

  /** @param vcpus All of the machine's. */
  constructor(vcpus: readonly LimitedVcpu[]) {
    this.#states = vcpus.map((vcpu) => ({
      ...{ vcpu, limit: undefined, rate: 0, throttle: 0 },
      before: vcpu.counters,
    }));
  }

  /** Whether any vCPU has a limit. */
  get active(): boolean {
    return this.#states.some(({ limit }) => limit !== undefined);
  }

  /**
   * Limits a vCPU, or all (QMP's `set-vcpu-dirty-limit`). 0 is no limit.
   * @param rate MB a second.
   * @param index Which vCPU. @default {all}
   * @throws {StateError} If there is no such vCPU.
   * @throws {RangeError} If the rate is no whole number from 0 on.
   */
  set(rate: number, index?: number): void {
    if (!Number.isSafeInteger(rate) || rate < 0) throw new RangeError(`A limit of ${rate} MB/s`);
    if (rate === 0) return this.cancel(index);
    this.#change(index, (state) => {
      state.limit = rate;
    });
  }

  /**
   * Takes the limit from a vCPU, or from all (QMP's `cancel-vcpu-dirty-limit`).
   * @param index Which vCPU. @default {all}
   * @throws {StateError} If there is no such vCPU.
   */
  cancel(index?: number): void {
    this.#change(index, (state) => {
      if (state.limit === undefined) return;
      state.limit = undefined;
      this.#throttle(state, 0);
    });
  }

  /** The limits there are (QMP's `query-vcpu-dirty-limit`). */
  query(): DirtyLimitInfo[] {
    return this.#states.flatMap(({ limit, rate }, vcpu) =>
      limit === undefined ? [] : [{ vcpu, limit, current: rate }]
    );
  }

  /**
   * The dirty log was read. Once a {@linkcode period} is over each vCPU's share of the time is made fit.
   * @param dirtied What all vCPUs wrote, in bytes.
   * @param milliseconds In how long.
   */
  observe(dirtied: number, milliseconds: number): void {
    this.#seen.dirtied += dirtied;
    this.#seen.milliseconds += milliseconds;
    const seen = this.#seen;
    if (seen.milliseconds < this.period) return;
    this.#seen = { dirtied: 0, milliseconds: 0 };
    const shares = this.#shares(seen.milliseconds);
    this.#states.forEach((state, index) => {
      state.rate = seen.dirtied * shares[index]! / MB / seen.milliseconds * 1000;
      if (state.limit !== undefined) this.#adjust(state, state.limit);
    });
  }

  /** The longest sleep between two of a vCPU's slices, in microseconds. */
  get throttleTimePerRound(): number {
    const percent = Math.max(0, ...this.#states.map(({ throttle }) => throttle));
    return Math.round(SLICE_US * percent / (100 - percent));
  }

  /** How long a slice is, in microseconds: there is no ring to fill. */
  get ringFullTime(): number {
    return SLICE_US;
  }

  #adjust(state: State, limit: number): void {
    const runs = (100 - state.throttle) / 100;
    if (state.rate <= limit && state.throttle === 0) return;
    const wanted = Math.min(1, state.rate > 0 ? runs * limit / state.rate : 1);
    const percent = wanted < runs
      ? Math.round(100 * (1 - wanted))
      : Math.floor(100 * (1 - runs - (wanted - runs) * EASE));
    this.#throttle(state, Math.min(Math.max(percent, 0), THROTTLE_MAX));
  }

  #throttle(state: State, percent: number): void {
    if (percent === state.throttle) return;
    state.throttle = percent;
    state.vcpu.throttle(percent);
  }

  /** What part of the writing was each vCPU's; together 1. */
  #shares(milliseconds: number): number[] {
    const done = this.#states.map((state) => {
      const now = state.vcpu.counters;
      const before = state.before;
      state.before = now;
      const slept = now.throttledTime - before.throttledTime + now.idleTime - before.idleTime;
      return { pages: now.pages - before.pages, ran: Math.max(0, milliseconds * 1000 - slept) };
    });
    const measure = done.some(({ pages }) => pages > 0) ? "pages" : "ran";
    const sum = done.reduce((total, each) => total + each[measure], 0);
    return done.map((each) => sum > 0 ? each[measure] / sum : 1 / done.length);
  }

  #change(index: number | undefined, change: (state: State) => void): void {
    if (index !== undefined && !this.#states[index]) {
      throw new StateError(
        `There is no vCPU ${index}: this machine has ${this.#states.length} of them, from 0 on`,
      );
    }
    this.#states.forEach((state, i) => {
      if (index === undefined || i === index) change(state);
    });
  }
}

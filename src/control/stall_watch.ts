/**
 * Notices that a migration stands still: somebody waits for a channel, and on none of them does anything
 * pass. A peer that is gone without a word, or has stopped reading, looks like that.
 *
 * One channel that stands still while others move is no stall: there may be a round left to send, and
 * at its end all wait for that one.
 *
 * @module
 */
import { ConnectionLostError } from "../errors.ts";

/** How long nothing may pass, in milliseconds. */
export const STALL_LIMIT_MS = 10_000;

/** What is watched of some channels. */
export interface Watched {
  /** The names of the channels that somebody waits for; none if nobody waits. */
  readonly waitingFor: readonly string[];
  /** How many bytes have passed. */
  readonly passed: number;
}

/** Watches the channels of one migration, until it is disposed of. */
export class StallWatch implements Disposable {
  readonly #timer: ReturnType<typeof setInterval>;
  #passed = -1;
  #since = performance.now();

  /**
   * Begins to watch.
   * @param watched The channels, asked several times within the limit.
   * @param report Told of a stall.
   * @param limitMs How long nothing may pass.
   */
  constructor(
    private readonly watched: () => readonly Watched[],
    private readonly report: (error: ConnectionLostError) => void,
    private readonly limitMs: number = STALL_LIMIT_MS,
  ) {
    this.#timer = setInterval(() => this.#look(), limitMs / 10);
  }

  /** Ends the watch. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    const watched = this.watched();
    const passed = watched.reduce((sum, channels) => sum + channels.passed, 0);
    const waitingFor = watched.flatMap((channels) => channels.waitingFor);
    if (passed !== this.#passed || waitingFor.length === 0) {
      this.#passed = passed;
      this.#since = now;
    } else if (now - this.#since >= this.limitMs) {
      this.#since = now;
      this.report(
        new ConnectionLostError(`Nothing has passed for ${Math.round(this.limitMs / 1000)} s`, {
          place: { channel: waitingFor.join(", ") },
          advice: "The other side hangs, or the network between the two is gone.",
        }),
      );
    }
  }
}

/**
 * The time a vCPU has had. A throttled or paused vCPU has less of it, so that a guest which does so much
 * per second of it really does less when it is throttled.
 *
 * @module
 */

/** A clock that can be stopped for a while. */
export class VcpuClock {
  #lost = 0;

  /** Milliseconds since some moment, without what was {@linkcode lose lost}. */
  now(): number {
    return performance.now() - this.#lost;
  }

  /**
   * Takes time out of the clock.
   * @param from What `performance.now()` was when the vCPU stopped.
   * @returns How many milliseconds that is until now.
   */
  lose(from: number): number {
    const lost = performance.now() - from;
    this.#lost += lost;
    return lost;
  }
}

/**
 * Turns of the event loop for a thread that otherwise blocks in the kernel.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";

/**
 * Turns in which messages to this thread are heard. One takes tens of microseconds, where a timer of no time
 * takes two milliseconds; a turn with `setImmediate` alone is shorter still, but a message may be heard only after
 * many of them.
 */
export class HearingTurns implements Disposable {
  readonly #ports = new MessageChannel();
  #heard = () => {};

  constructor() {
    this.#ports.port1.onmessage = () => this.#heard();
  }

  /** Has one turn. */
  async turn(): Promise<void> {
    const heard = new Promise<void>((resolve) => this.#heard = resolve);
    this.#ports.port2.postMessage(undefined);
    await heard;
    // What waits for its turn in this thread has it too.
    await setImmediate();
  }

  [Symbol.dispose](): void {
    this.#ports.port1.close();
    this.#ports.port2.close();
  }
}

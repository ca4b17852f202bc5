/**
 * What the guest prints on its serial port, and waiting for it.
 *
 * @module
 */
import { EventLog } from "./event_log.ts";
import { HEARTBEAT } from "./sweep_program.ts";

/** The characters that a guest has printed. */
export class SerialLog {
  readonly #log = new EventLog<string>();
  /** Done when the machine's end of the port is closed. */
  readonly closed: Promise<void>;

  /**
   * Begins to read.
   * @param connection The machine's end of the port; closed when the machine is gone.
   */
  constructor(connection: Deno.Conn) {
    const sink = new WritableStream<string>({
      write: (text) => {
        for (const character of text) this.#log.push(character);
      },
    });
    this.closed = connection.readable.pipeThrough(new TextDecoderStream()).pipeTo(sink).then(
      () => this.#log.end(new Error("The machine has closed its serial port")),
      (cause) => this.#log.end(new Error("The machine's serial port broke", { cause })),
    );
  }

  /** All that was printed. */
  get text(): string {
    return this.#log.entries.join("");
  }

  /** How often the guest's heart has beaten. */
  get heartbeats(): number {
    return this.#log.entries.reduce((sum, character) => sum + Number(character === HEARTBEAT), 0);
  }

  /**
   * Waits for heartbeats that come after this call.
   * @param count How many.
   */
  async waitForHeartbeats(count = 3): Promise<void> {
    let from = this.#log.entries.length;
    for (let i = 1; i <= count; i++) {
      const what = `heartbeat ${i} of ${count}`;
      from = 1 + await this.#log.wait((character) => character === HEARTBEAT, { what, from });
    }
  }
}

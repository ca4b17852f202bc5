/**
 * What the destination says over the return path, as far as an outgoing migration waits for it: that it
 * has understood what was sent, and at the end whether it has the machine.
 *
 * @module
 */
import {
  asMigrationError,
  type MigrationError,
  PeerFailedError,
  StreamFormatError,
} from "../errors.ts";
import type { ReturnPathListener } from "../postcopy/return_path.ts";
import { RESUME_ACK_VALUE, type ReturnPathMessage } from "../wire/return_path.ts";
import type { Trouble } from "./trouble.ts";

/** A destination that says more than this before anybody asks it is not heard. */
const WORDS_MAX = 256;

/** How long the last word may come after the news that the main channel broke, in milliseconds. */
const LAST_WORD_MS = 5_000;

/** How long a round waits for the destination's agreement before the next one, in milliseconds. */
const ACKNOWLEDGEMENT_MS = 100;

/** The listener of one migration's return path. */
export class DestinationWord implements ReturnPathListener {
  readonly #verdict = Promise.withResolvers<void>();
  /** What was said, and what is waited for. */
  readonly #words = new Map<string, PromiseWithResolvers<void>>();

  /**
   * Begins to listen.
   * @param trouble Is told what ends the migration before the handover.
   * @param handedOver Whether all has been sent, and the machine is the destination's if it says so.
   */
  constructor(private readonly trouble: Trouble, private readonly handedOver: () => boolean) {
    this.#verdict.promise.catch(() => {});
  }

  /** Waits for the answer to a PING. @param value What the PING carried. */
  async pong(value: number): Promise<void> {
    await this.trouble.guard(this.#word(`PONG ${value}`).promise);
  }

  /** Waits until the destination has said what of a block it has received. */
  async received(block: string): Promise<void> {
    await this.trouble.guard(this.#word(`RECV_BITMAP ${block}`).promise);
  }

  /** Waits until the destination goes on after a pause. */
  async resumed(): Promise<void> {
    await this.trouble.guard(this.#word("RESUME_ACK").promise);
  }

  /**
   * Whether the destination agrees to the switchover (SWITCHOVER_ACK); waits a little for its word.
   */
  async acknowledgesSwitchover(): Promise<boolean> {
    const { promise: time, resolve } = Promise.withResolvers<false>();
    const timer = setTimeout(() => resolve(false), ACKNOWLEDGEMENT_MS);
    try {
      const said = this.#word("SWITCHOVER_ACK").promise.then(() => true);
      return await this.trouble.guard(Promise.race([said, time]));
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Waits until the destination says whether it has the machine.
   * @param sent Rejects if not all of the stream could be sent. That alone says nothing: the destination's
   * last word may be on its way still.
   * @throws {PeerFailedError} If it says that it has not.
   * @throws {MigrationError} If it will say nothing more.
   */
  async verdict(sent: Promise<void>): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let known = false;
    sent.catch((error) => {
      if (known) return;
      timer = setTimeout(() => this.closed(asMigrationError(error)), LAST_WORD_MS);
    });
    try {
      await this.#verdict.promise;
    } finally {
      known = true;
      clearTimeout(timer);
    }
  }

  message(message: ReturnPathMessage): void {
    switch (message.type) {
      case "PONG":
        return this.#heard(`PONG ${message.value}`);
      case "RECV_BITMAP":
        return this.#heard(`RECV_BITMAP ${message.block}`);
      case "RESUME_ACK":
        if (message.value === RESUME_ACK_VALUE) return this.#heard("RESUME_ACK");
        return this.closed(
          new PeerFailedError(`The destination does not go on (${message.value})`),
        );
      case "SHUT":
        return this.#shut(message.status);
      case "SWITCHOVER_ACK":
        return this.#word("SWITCHOVER_ACK").resolve();
      default:
        return this.closed(
          new StreamFormatError(`The destination sent ${message.type} outside of postcopy`),
        );
    }
  }

  /** After a verdict the return path's end says nothing new. */
  closed(error: MigrationError): void {
    this.#verdict.reject(error.at({ channel: "return path" }));
    if (!this.handedOver()) this.trouble.report(error);
  }

  #shut(status: number): void {
    if (status === 0 && this.handedOver()) return this.#verdict.resolve();
    const what = status === 0
      ? "The destination ended the migration before it was complete"
      : `The destination failed (status ${status | 0})`;
    this.closed(new PeerFailedError(what, { advice: "The destination's own messages say why." }));
  }

  #heard(word: string): void {
    if (this.#words.has(word) || this.#words.size < WORDS_MAX) this.#word(word).resolve();
  }

  #word(word: string): PromiseWithResolvers<void> {
    let known = this.#words.get(word);
    if (!known) this.#words.set(word, known = Promise.withResolvers());
    return known;
  }
}

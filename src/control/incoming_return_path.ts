/**
 * A destination's end of the return path: written from here, or by the fault thread
 * (`postcopy/fault_thread.ts`) where there may be postcopy.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import type { Channel, ChannelSpec } from "../transport/channel.ts";
import { openChannel } from "../transport/open_channel.ts";
import { encodeReturnPathMessage, type ReturnPathMessage } from "../wire/return_path.ts";
import { inTime } from "./in_time.ts";

/** How long the last word to a source may take, in milliseconds. */
const FAREWELL_TIMEOUT_MS = 2000;

/** What writes the return path. */
export interface ReturnPathWriter extends AsyncDisposable {
  /** Sends a message. @throws {ConnectionLostError} If the connection was lost. */
  send(message: ReturnPathMessage): Promise<void>;
  /** Tells the source that nothing follows. */
  shutdown(): Promise<void>;
  /** Gives the connection up; what is being sent fails. */
  close(): void;
}

/** Writes it from this thread. */
export class DirectReturnPath implements ReturnPathWriter {
  readonly #channel: Channel;

  /** @param channel The writing half of the main connection. */
  constructor(channel: ChannelSpec) {
    this.#channel = openChannel(channel);
  }

  async send(message: ReturnPathMessage): Promise<void> {
    await this.#channel.write(encodeReturnPathMessage(message));
  }

  async shutdown(): Promise<void> {
    await this.#channel.shutdown();
  }

  close(): void {
    this.#channel.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

/** What is said to one source, once it wants to hear something. */
export class IncomingReturnPath implements AsyncDisposable {
  #isOpen = false;
  #farewellSaid = false;

  /** @param writer What writes it; without one the source can be told nothing. */
  constructor(private readonly writer: ReturnPathWriter | undefined) {}

  /** The source wants to hear. @throws {StreamFormatError} If it cannot be told anything. */
  open(): void {
    if (!this.writer) {
      throw new StreamFormatError("The source wants a return path over a one-way connection");
    }
    this.#isOpen = true;
  }

  /** Whether it does. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Says something to a source that wants to hear. @throws {ConnectionLostError} If it is not there any more. */
  async say(message: ReturnPathMessage): Promise<void> {
    await this.writer!.send(message);
  }

  /**
   * Tells the source how it ended, if it listens. It may be gone, and the end is the same.
   * @param status 0 if the machine is here.
   */
  async sayFarewell(status: number): Promise<void> {
    if (!this.#isOpen || this.#farewellSaid) return;
    this.#farewellSaid = true;
    const writer = this.writer!;
    try {
      const sent = writer.send({ type: "SHUT", status });
      await inTime(FAREWELL_TIMEOUT_MS, sent, () => writer.close());
      await writer.shutdown();
    } catch {
      // The source sees the connection's end instead.
    }
  }

  /** Ends it at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.writer?.[Symbol.asyncDispose]();
  }
}

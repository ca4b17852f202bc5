/**
 * A destination's end of the return path: written from here, or by the fault thread
 * (`postcopy/fault_thread.ts`) where there may be postcopy.
 *
 * @module
 */
import type { Channel, ChannelSpec } from "../transport/channel.ts";
import { openChannel } from "../transport/open_channel.ts";
import { encodeReturnPathMessage, type ReturnPathMessage } from "../wire/return_path.ts";

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

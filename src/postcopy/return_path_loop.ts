/**
 * What the return-path worker of a source does: read the destination's messages and pass them on.
 *
 * @module
 */
import { ByteReader } from "../wire/byte_reader.ts";
import { readReturnPathMessage, type ReturnPathMessage } from "../wire/return_path.ts";
import type { Channel, ChannelSpec } from "../transport/channel.ts";
import { ChannelSource } from "../transport/channel_source.ts";

/** What the worker is started with. */
export interface ReturnPathStart {
  /** The main connection's reading half. */
  readonly channel: ChannelSpec;
}

/**
 * Reads messages until the destination closes its side.
 * @param post Gets every message.
 * @throws {StreamFormatError} If a message is malformed.
 * @throws {ConnectionLostError} If the connection breaks.
 */
export async function returnPathLoop(
  channel: Channel,
  post: (message: ReturnPathMessage) => void,
): Promise<void> {
  const reader = new ByteReader(new ChannelSource(channel));
  for (;;) {
    const message = await readReturnPathMessage(reader);
    if (!message) return;
    post(message);
  }
}

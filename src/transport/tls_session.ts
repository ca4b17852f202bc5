/**
 * What the worker of a TLS connection does: the handshake, and then everything between the connection and
 * two rings in shared memory.
 *
 * A connection has its own thread, and not that of whoever sends or receives, for three reasons: a main
 * channel's directions are two threads' and its keys are one's; the main thread looks at a channel's first
 * bytes before it knows whose it is; and a sender sleeps without an event loop.
 *
 * @module
 */
import type { WorkerPort } from "../threads/worker_port.ts";
import { abandonBridge, carry } from "./bridge.ts";
import type { BridgeSpec, DescriptorSpec } from "./channel.ts";
import { openChannel } from "./open_channel.ts";
import { TlsChannel } from "./tls_channel.ts";
import type { TlsSetup } from "./tls_options.ts";

/** What the worker is started with. */
export interface TlsSessionStart {
  /** The connection without TLS. */
  readonly channel: DescriptorSpec | BridgeSpec;
  readonly setup: TlsSetup;
  /** The ring for what the peer sends. */
  readonly inbound: SharedArrayBuffer;
  /** The ring for what is sent to it. */
  readonly outbound: SharedArrayBuffer;
}

/** What the worker posts, once: the peer is who it has to be. */
export type FromTlsSession = "secured";

/**
 * Runs until both sides have ended the connection, or it failed, or the worker is asked to stop.
 * @throws {TransportError} If the handshake failed.
 */
export async function tlsSession(
  start: TlsSessionStart,
  port: WorkerPort<never, FromTlsSession>,
): Promise<void> {
  const channel = openChannel(start.channel);
  const stopped = port.receive().then(() => {
    channel.close();
    abandonBridge(start, "it was closed on this side");
  });
  port.ready();
  const tls = await TlsChannel.open(channel, start.setup);
  port.post("secured");
  await Promise.race([carry(tls, start.inbound, start.outbound), stopped]);
}

/**
 * From a {@linkcode ChannelSpec} to a {@linkcode Channel}, on the thread that is to use it.
 *
 * @module
 */
import { BridgeChannel } from "./bridge.ts";
import type { BridgeSpec, Channel, ChannelSpec, DescriptorSpec, FileSpec } from "./channel.ts";
import { closeDescriptor } from "./descriptor.ts";
import { FileChannel } from "./file_channel.ts";
import { SocketChannel } from "./socket_channel.ts";

/** Opens a file, which can do more than a connection. */
export function openChannel(spec: FileSpec): FileChannel;
/** Opens what another thread handed over. */
export function openChannel(spec: ChannelSpec): Channel;
/**
 * Opens what another thread handed over. A connection's spec is opened once, by one thread; a file's
 * any number of times.
 * @param spec What {@linkcode Endpoint.handOff} returned.
 * @throws {TransportError} If a file is not there any more, or a descriptor is not a connection.
 */
export function openChannel(spec: ChannelSpec): Channel {
  switch (spec.kind) {
    case "descriptor":
      return new SocketChannel(spec);
    case "file":
      return new FileChannel(spec);
    case "bridge":
      return new BridgeChannel(spec);
  }
}

/** Closes a connection that was handed over and that nobody opened, nor will open. */
export function closeSpec(spec: DescriptorSpec | BridgeSpec | FileSpec): void {
  if (spec.kind === "descriptor") closeDescriptor(spec.fd);
  else if (spec.kind === "bridge") new BridgeChannel(spec).close();
}

/**
 * What is on this machine and works the same way for source and destination, but for the direction:
 * commands and inherited descriptors.
 *
 * @module
 */
import { startCommand } from "./command.ts";
import { DescriptorConnection } from "./connection.ts";
import { Endpoint } from "./endpoint.ts";
import { claimInherited, inspectInherited } from "./inherited.ts";
import { type ExecUri, type FdUri, formatUri } from "./uri.ts";
import type { WaitOptions } from "./wait.ts";

/**
 * Starts a command.
 * @param direction Whether the stream is written to its input or read from its output.
 * @param options When to give up.
 */
export async function openCommand(
  uri: ExecUri,
  direction: "read" | "write",
  options: WaitOptions,
): Promise<Endpoint> {
  const command = await startCommand(uri, direction, options);
  return new Endpoint(pipeTo(command.fd, formatUri(uri), direction), command);
}

function pipeTo(fd: number, peer: string, direction: "read" | "write"): DescriptorConnection {
  return new DescriptorConnection({ kind: "descriptor", fd, peer, direction, transport: "pipe" });
}

/**
 * Takes a descriptor that this process was started with. A regular file goes through `cat`, which can
 * use the position that the file is open at; Deno cannot adopt an open file.
 * @param direction Whether the stream is written or read.
 * @param options When to give up.
 */
export async function openInherited(
  uri: FdUri,
  direction: "read" | "write",
  options: WaitOptions,
): Promise<Endpoint> {
  const peer = formatUri(uri);
  const kind = inspectInherited(uri.fd);
  if (kind === "file") {
    const cat: ExecUri = { kind: "exec", args: ["cat"] };
    const command = await startCommand(cat, direction, options, uri.fd);
    return new Endpoint(pipeTo(command.fd, peer, direction), command);
  }
  const { fd, transport } = claimInherited(uri.fd);
  if (kind === "pipe") return new Endpoint(pipeTo(fd, peer, direction));
  return new Endpoint(
    new DescriptorConnection({ kind: "descriptor", fd, peer, direction: "both", transport }),
  );
}

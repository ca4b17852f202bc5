/**
 * The descriptors of `fd:` URIs, which whoever started this process left open for it.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { TransportError } from "../errors.ts";
import { adoptDescriptor, takeDescriptor } from "./descriptor.ts";

/** What kind of thing a descriptor is. */
export type InheritedKind = "file" | "pipe" | "socket";

/** Exit statuses of the script below. */
const KINDS: readonly InheritedKind[] = ["file", "pipe", "socket"];

const SCRIPT = `fd=/proc/self/fd/$1
[ -f "$fd" ] && exit 10
[ -p "$fd" ] && exit 11
[ -S "$fd" ] && exit 12
[ -e "$fd" ] && exit 13
exit 14`;

/**
 * Finds out what a descriptor is, and that it is not one of this process's own: a shell, which
 * inherits just those that were left open on purpose, looks at it.
 * @throws {TransportError} If it was not left open, or is nothing to migrate through.
 */
export function inspectInherited(fd: number): InheritedKind {
  const { status, error } = spawnSync("/bin/sh", ["-c", SCRIPT, "sh", String(fd)]);
  const kind = KINDS[(status ?? 0) - 10];
  if (kind !== undefined) return kind;
  if (status === 13) {
    throw new TransportError(`Cannot use fd:${fd}: it is not a socket, a pipe or a file`);
  }
  if (status === 14) {
    throw new TransportError(`Cannot use fd:${fd}: this process was not given that descriptor`, {
      advice: `Start it with, for instance, ${fd}<FILE or ${fd}>FILE after the command`,
    });
  }
  throw new TransportError(`Cannot look at fd:${fd} with /bin/sh`, { cause: error });
}

/**
 * Makes an inherited socket or pipe this process's own: later children do not get it, and it is closed
 * with its channel.
 * @returns The descriptor in its place, and which kind of socket it is, if it is one.
 */
export function claimInherited(fd: number): { fd: number; transport: "tcp" | "unix" } {
  const socket = adoptDescriptor(fd, () => {});
  const transport = socket.remoteAddress === undefined ? "unix" : "tcp";
  return { fd: takeDescriptor(socket), transport };
}

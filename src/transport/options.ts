/**
 * What {@linkcode connect} and {@linkcode listen} can be told.
 *
 * @module
 */
import { TransportError } from "../errors.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import { codeOf, reasonOf } from "./os_error.ts";
import type { TlsOptions, TlsSource } from "./tls_options.ts";
import { formatUri, type MigrationUri, type VsockUri } from "./uri.ts";
import type { WaitOptions } from "./wait.ts";

/** How sockets reach their workers, and who is told of what they refuse. */
export interface SocketOptions {
  /**
   * Whether a TCP or Unix socket's descriptor goes to the worker, or its bytes pass through the main
   * thread and shared memory: slower, but without an internal of Deno. Pipes always go as descriptors,
   * vsock always passes through.
   * @default {"descriptor"}
   */
  readonly handOff?: "descriptor" | "bridge";
  /** That Deno was started with `--unstable-vsock`: without the flag, vsock makes it end the process. */
  readonly vsock?: boolean;
  /** Told of each connection that a listener has turned away. */
  readonly onRefused?: (error: TransportError) => void;
}

/** All of it: also when to give up, and how connections are encrypted. */
export interface TransportOptions extends SocketOptions, WaitOptions {
  /** Encrypts every connection, if it is there. */
  readonly tls?: TlsOptions | undefined;
  /** Where there may be threads for TLS already; they stay the caller's. */
  readonly spares?: SpareWorkers | undefined;
}

/** The same for a listener, whose encryption may change from one connection to the next. */
export interface ListenOptions extends Omit<TransportOptions, "tls"> {
  /** Encrypts connections, if it is there. */
  readonly tls?: TlsOptions | TlsSource | undefined;
}

/**
 * Refuses vsock where it would end the process.
 * @throws {TransportError} If the caller does not vouch for the flag.
 */
export function requireVsock(uri: VsockUri, options: TransportOptions): void {
  if (options.vsock) return;
  throw new TransportError(`Cannot use ${formatUri(uri)}: this process was not started for vsock`, {
    advice: "Start Deno with --unstable-vsock",
  });
}

const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Start the destination first, and check the address",
  ENOENT: "Start the destination first, and check the path",
  ENOTFOUND: "Check the spelling, or use the address",
  EADDRNOTAVAIL: "Check that the address belongs to this machine",
  EINVAL: "Check that the address belongs to this machine", // what Deno makes of the one before
  EADDRINUSE: "Use another port, or port 0 for any that is free",
};

/** What to throw when a socket could not be opened. @param cause What the system said. */
export function openingError(verb: string, uri: MigrationUri, cause: unknown): TransportError {
  if (cause instanceof TransportError) return cause;
  const advice = ADVICE[codeOf(cause) ?? ""];
  return new TransportError(`Cannot ${verb} ${formatUri(uri)}: ${reasonOf(cause)}`, {
    cause,
    ...advice === undefined ? {} : { advice },
  });
}

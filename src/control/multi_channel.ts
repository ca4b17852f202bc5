/**
 * What both sides of a multifd migration take from the settings.
 *
 * @module
 */
import { SettingError } from "../errors.ts";
import type { MultifdCompression, MultifdMethod } from "../multifd/method.ts";
import type { TransportOptions } from "../transport/options.ts";
import { formatUri, type MigrationUri } from "../transport/uri.ts";
import type { Parameters } from "./parameters.ts";

/** Addresses to which one can connect more than once. */
const MULTI_CHANNEL: readonly MigrationUri["kind"][] = ["tcp", "unix", "vsock"];

/**
 * Refuses an address that gives a single connection.
 * @param capability What needs more than one.
 * @throws {SettingError} If it does.
 */
export function requireMultiChannel(uri: MigrationUri, capability = "multifd"): void {
  if (MULTI_CHANNEL.includes(uri.kind)) return;
  throw new SettingError(
    `Migration requires multi-channel URIs (e.g. tcp), not ${formatUri(uri)}`,
    {
      advice: `Turn the capability ${capability} off.`,
    },
  );
}

/**
 * How pages are compressed.
 * @param handOff Where sockets do without Deno's internals, compression does too.
 */
export function compressionOf(
  parameters: Parameters,
  handOff: TransportOptions["handOff"],
): MultifdCompression {
  // What is not available here was refused when the parameter was set.
  const method = parameters["multifd-compression"] as MultifdMethod;
  const level = method === "none" ? 0 : parameters[`multifd-${method}-level`];
  return { method, level, codec: handOff === "bridge" ? "stream" : "handle" };
}

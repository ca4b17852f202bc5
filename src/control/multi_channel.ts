/**
 * What the settings ask of the address, on both sides (QEMU `migration/migration.c`,
 * `migration_channels_and_transport_compatible`), and what multifd takes from them.
 *
 * @module
 */
import { SettingError } from "../errors.ts";
import type { MultifdCompression, MultifdMethod } from "../multifd/method.ts";
import type { TransportOptions } from "../transport/options.ts";
import { formatUri, type MigrationUri } from "../transport/uri.ts";
import type { Capabilities } from "./capabilities.ts";
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
 * Refuses an address that does not give what the capabilities need.
 * @throws {SettingError} If it gives a single connection or no file, or a parameter does not go with a file.
 */
export function requireTransport(
  uri: MigrationUri,
  { capabilities, parameters }: { capabilities: Capabilities; parameters: Parameters },
): void {
  if (!capabilities["mapped-ram"]) {
    if (capabilities.multifd) requireMultiChannel(uri);
    return;
  }
  if (uri.kind !== "file") {
    throw new SettingError(
      `Migration requires seekable transport (e.g. file), not ${formatUri(uri)}`,
      { advice: "Turn the capability mapped-ram off, or use file:PATH." },
    );
  }
  if (capabilities["x-ignore-shared"]) {
    throw new SettingError("Cannot leave shared RAM out of a mapped-ram file", {
      advice: "QEMU writes such files and cannot load them: turn x-ignore-shared off.",
    });
  }
  if (parameters["multifd-compression"] !== "none") {
    throw new SettingError("Cannot use compression with mapped-ram", {
      advice: "Set multifd-compression to none.",
    });
  }
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

/**
 * From QEMU's TLS parameters to what the transport takes (wire-format §10.11; QEMU `migration/tls.c`).
 *
 * QEMU's parameters name objects of its command line. Here they say what those objects would:
 *
 * - `tls-creds`: the folder that is the object's `dir`, which may be followed by its other property:
 *   `/etc/pki/qemu,verify-peer=off`.
 * - `tls-authz`: a file as `authz-list-file` takes it, if it begins with `/` or `.`; otherwise one
 *   distinguished name, as `authz-simple` takes it: `C=GB,O=Example,CN=laptop`.
 *
 * @module
 */
import { SettingError } from "../errors.ts";
import { reasonOf } from "../transport/os_error.ts";
import {
  type AuthorizationList,
  onlyIdentity,
  parseAuthorizationList,
} from "../transport/tls_authorization.ts";
import type { TlsOptions, TlsSource } from "../transport/tls_options.ts";
import type { Capabilities } from "./capabilities.ts";
import type { Parameters } from "./parameters.ts";

/** The most a file of rules may have, in bytes. */
const FILE_MAX = 1 << 20;

/**
 * What connections of a migration need.
 * @param side Which side's: only a destination lets anybody in.
 * @returns A member of `TransportOptions`, or nothing if there is to be no TLS.
 * @throws {SettingError} If a parameter is not understood, or TLS has no place in such a migration.
 */
export async function tlsTransport(
  side: "source" | "destination",
  settings: { readonly parameters: Parameters; readonly capabilities: Capabilities },
): Promise<{ tls?: TlsOptions }> {
  const {
    "tls-creds": credentials,
    "tls-hostname": hostname,
    "tls-authz": authorization,
  } = settings.parameters;
  if (credentials === "") return {};
  if (settings.capabilities["mapped-ram"]) {
    throw new SettingError("Cannot use TLS with mapped-ram", { advice: "Unset tls-creds." });
  }
  const { folder, verifyPeer } = parseCredentials(credentials);
  if (side === "source") return { tls: { folder, ...hostname !== "" && { hostname } } };
  if (authorization !== "" && !verifyPeer) {
    throw new SettingError("tls-authz has nobody to let in while tls-creds has verify-peer=off", {
      advice: "Without a certificate there is no name: unset one of the two.",
    });
  }
  return {
    tls: {
      folder,
      verifyPeer,
      ...authorization !== "" && { authorization: await readAuthorization(authorization) },
    },
  };
}

/**
 * What a destination asks for each connection that comes, as QEMU does: the parameters may change while it
 * listens.
 * @param settings Whose parameters change.
 */
export function incomingTls(
  settings: { readonly parameters: Parameters; readonly capabilities: Capabilities },
): TlsSource {
  let known: { key: string; tls: Promise<{ tls?: TlsOptions }> } | undefined;
  return async () => {
    const { "tls-creds": credentials, "tls-authz": authorization } = settings.parameters;
    const key = JSON.stringify([credentials, authorization]);
    if (known?.key !== key) known = { key, tls: tlsTransport("destination", settings) };
    return (await known.tls).tls;
  };
}

function parseCredentials(text: string): { folder: string; verifyPeer: boolean } {
  const refuse = (what: string): never => {
    throw new SettingError(`tls-creds "${text}": ${what}`, {
      advice: "Write FOLDER or FOLDER,verify-peer=off",
    });
  };
  const [folder = "", ...properties] = text.split(",");
  if (folder === "") refuse("the folder is missing");
  let verifyPeer = true;
  for (const property of properties) {
    const value = /^verify-peer=(on|yes|true|off|no|false)$/.exec(property)?.[1];
    if (value === undefined) refuse(`"${property}" is not understood`);
    verifyPeer = value === "on" || value === "yes" || value === "true";
  }
  return { folder, verifyPeer };
}

async function readAuthorization(text: string): Promise<AuthorizationList> {
  if (!/^[./]/.test(text)) {
    if (!text.includes("=")) {
      throw new SettingError(`tls-authz "${text}" is neither a file nor a distinguished name`, {
        advice: "Write a path that begins with / or ., or a name such as C=GB,CN=laptop",
      });
    }
    return onlyIdentity(text);
  }
  let json: string;
  try {
    const { size } = await Deno.stat(text);
    if (size > FILE_MAX) throw new RangeError("it is too large");
    json = await Deno.readTextFile(text);
  } catch (cause) {
    throw new SettingError(`The authorization list ${text} cannot be read: ${reasonOf(cause)}`, {
      cause,
    });
  }
  return parseAuthorizationList(json, text);
}

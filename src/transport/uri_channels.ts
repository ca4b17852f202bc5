/**
 * QMP's other way to write a {@linkcode MigrationUri}: the list of channels that `migrate` and
 * `migrate-incoming` take, and the socket addresses that `query-migrate` shows (QEMU
 * `qapi/migration.json`, `qapi/sockets.json`).
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { parsePort, refuseMultipath, tcpUri } from "./tcp_uri.ts";
import {
  type ExecUri,
  type FdUri,
  type FileUri,
  type MigrationUri,
  parseDescriptor,
  parseUnixPath,
  parseVsock,
} from "./uri.ts";

/** A JSON object that QMP takes or gives. */
export type QmpObject = { readonly [member: string]: unknown };

/** A socket's address as QMP writes it. */
export type SocketAddress =
  | {
    readonly type: "inet";
    readonly host: string;
    readonly port: string;
    readonly to?: number;
    readonly ipv4?: boolean;
    readonly ipv6?: boolean;
    readonly "keep-alive"?: boolean;
  }
  | { readonly type: "unix"; readonly path: string }
  | { readonly type: "vsock"; readonly cid: string; readonly port: string }
  | { readonly type: "fd"; readonly str: string };

/**
 * Reads the argument `channels`.
 * @param value What JSON has there.
 * @returns The address of the channel `main`.
 * @throws {UsageError} If there is no such channel, there are others, or a member is missing, unknown
 * or of the wrong type; the message names the member by its path.
 */
export function parseChannels(value: unknown): MigrationUri {
  if (!Array.isArray(value)) throw new UsageError("channels is not an array");
  let main: MigrationUri | undefined;
  for (const [index, entry] of value.entries()) {
    const channel = new Members(`channels[${index}]`, entry);
    const type = channel.text("channel-type");
    if (type !== "main") {
      throw new UsageError(
        `channels[${index}].channel-type "${type}" is not supported: only main is`,
      );
    }
    if (main !== undefined) throw new UsageError("channels has main twice");
    main = parseAddress(channel.members("addr"));
    channel.end();
  }
  if (main === undefined) throw new UsageError("channels has no entry of channel-type main");
  return main;
}

/** Writes the argument `channels` that {@linkcode parseChannels} reads. */
export function formatChannels(uri: MigrationUri): QmpObject[] {
  return [{ "channel-type": "main", addr: formatAddress(uri) }];
}

/** A socket's address as `query-migrate` lists it under `socket-address`; others have none. */
export function formatSocketAddress(
  uri: Exclude<MigrationUri, ExecUri | FileUri>,
): SocketAddress {
  switch (uri.kind) {
    case "tcp": {
      const { host, port, to, ipv4, ipv6, keepAlive } = uri;
      const members = { to, ipv4, ipv6, "keep-alive": keepAlive };
      const known = Object.entries(members).filter(([, member]) => member !== undefined);
      return { type: "inet", host, port: String(port), ...Object.fromEntries(known) };
    }
    case "unix":
      return { type: "unix", path: uri.path };
    case "vsock":
      return { type: "vsock", cid: String(uri.cid), port: String(uri.port) };
    case "fd":
      return { type: "fd", str: String(uri.fd) };
  }
}

function formatAddress(uri: MigrationUri): QmpObject {
  if (uri.kind === "exec") return { transport: "exec", args: [...uri.args] };
  if (uri.kind === "file") return { transport: "file", filename: uri.path, offset: uri.offset };
  return { transport: "socket", ...formatSocketAddress(uri) };
}

function parseAddress(addr: Members): MigrationUri {
  const transport = addr.text("transport");
  const uri = transport === "socket"
    ? parseSocketAddress(addr)
    : transport === "exec"
    ? { kind: "exec", args: addr.texts("args") } satisfies ExecUri
    : transport === "file"
    ? parseFileAddress(addr)
    : addr.refuse("transport", transport, "socket, exec and file are");
  addr.end();
  return uri;
}

function parseFileAddress(addr: Members): FileUri {
  const path = addr.text("filename");
  if (path === "") addr.refuse("filename", path, "a path is");
  return { kind: "file", path, offset: addr.count("offset") };
}

function parseSocketAddress(addr: Members): MigrationUri {
  const type = addr.text("type");
  switch (type) {
    case "inet":
      return addr.check(() => parseInetAddress(addr));
    case "unix":
      if (addr.flag("abstract")) addr.refuse("abstract", "true", "sockets with a path are");
      addr.flag("tight");
      return addr.check(() => parseUnixPath(addr.text("path")));
    case "vsock":
      return addr.check(() => parseVsock(addr.text("cid"), addr.text("port")));
    case "fd":
      return addr.check((): FdUri => parseDescriptor(addr.text("str")));
    default:
      return addr.refuse("type", type, "inet, unix, vsock and fd are");
  }
}

function parseInetAddress(addr: Members): MigrationUri {
  const to = addr.count("to", true);
  const ipv4 = addr.flag("ipv4");
  const ipv6 = addr.flag("ipv6");
  const keepAlive = addr.flag("keep-alive");
  addr.flag("numeric"); // ports are always numbers here, and a host is looked up only if it is a name
  refuseMultipath(addr.flag("mptcp") ?? false);
  return tcpUri({
    host: addr.text("host"),
    port: parsePort(addr.text("port"), "port"),
    ...to === undefined ? {} : { to: parsePort(String(to), "highest port") },
    ...ipv4 === undefined ? {} : { ipv4 },
    ...ipv6 === undefined ? {} : { ipv6 },
    ...keepAlive === undefined ? {} : { keepAlive },
  });
}

/** The members of one object, each taken at most once; the rest are unknown. */
class Members {
  readonly #members: Map<string, unknown>;

  constructor(private readonly path: string, value: unknown) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new UsageError(`${path} is not an object`);
    }
    this.#members = new Map(Object.entries(value));
  }

  #take(name: string): unknown {
    const value = this.#members.get(name);
    this.#members.delete(name);
    return value;
  }

  #required(name: string): unknown {
    if (!this.#members.has(name)) throw new UsageError(`${this.path}.${name} is missing`);
    return this.#take(name);
  }

  text(name: string): string {
    const value = this.#required(name);
    if (typeof value === "string") return value;
    throw new UsageError(`${this.path}.${name} is not a string`);
  }

  texts(name: string): string[] {
    const value = this.#required(name);
    if (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string")) {
      return value;
    }
    throw new UsageError(`${this.path}.${name} is not an array of strings with a program first`);
  }

  members(name: string): Members {
    return new Members(`${this.path}.${name}`, this.#required(name));
  }

  flag(name: string): boolean | undefined {
    const value = this.#take(name);
    if (value === undefined || typeof value === "boolean") return value;
    throw new UsageError(`${this.path}.${name} is not a boolean`);
  }

  count(name: string): number;
  count(name: string, optional: true): number | undefined;
  count(name: string, optional?: true): number | undefined {
    const value = optional ? this.#take(name) : this.#required(name);
    if (optional && value === undefined) return undefined;
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    throw new UsageError(`${this.path}.${name} is not a whole number`);
  }

  refuse(name: string, value: string, supported: string): never {
    throw new UsageError(`${this.path}.${name} "${value}" is not supported: ${supported}`);
  }

  /** Runs `read`; puts this object's path before what it finds wrong with a value. */
  check<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof UsageError) || error.what.startsWith(this.path)) throw error;
      throw new UsageError(`${this.path}: ${error.what}`);
    }
  }

  end(): void {
    const [unknown] = this.#members.keys();
    if (unknown !== undefined) throw new UsageError(`${this.path}.${unknown} is unknown`);
  }
}

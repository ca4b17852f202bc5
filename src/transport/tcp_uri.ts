/**
 * `HOST:PORT` and its options (QEMU `util/qemu-sockets.c`, `inet_parse`).
 *
 * @module
 */
import { UsageError } from "../errors.ts";

/** A TCP address. */
export interface TcpUri {
  /** Which kind of URI this is. */
  readonly kind: "tcp";
  /** Name or address, without brackets; empty means all of this machine's addresses. */
  readonly host: string;
  /** 0 asks for any free port. */
  readonly port: number;
  /** Listening tries `port`, `port + 1`, ... `to`. */
  readonly to?: number;
  /** Whether IPv4 may be used; see {@linkcode familyOf}. */
  readonly ipv4?: boolean;
  /** Whether IPv6 may be used; see {@linkcode familyOf}. */
  readonly ipv6?: boolean;
  /** Whether the kernel probes an idle connection; on unless this is `false`. */
  readonly keepAlive?: boolean;
}

const HOST_MAX = 64;

/**
 * Reads what follows `tcp:`.
 * @throws {UsageError} If it is no address; the message has neither the URI nor the grammar.
 */
export function parseTcp(text: string): TcpUri {
  const parts = /^(?:\[([^\]]*)\]|([^:,[\]]*)):([^,]*)(?:,(.*))?$/s.exec(text);
  if (parts === null) {
    throw new UsageError(text.includes(":") ? "host is not valid" : "the port is missing");
  }
  const [, bracketed, plain = "", port = "", options] = parts;
  if (bracketed === "") throw new UsageError("the brackets are empty");
  if (port.includes(":")) throw new UsageError("an IPv6 address belongs in brackets");
  return tcpUri({
    host: bracketed ?? plain,
    port: parsePort(port, "port"),
    ...parseOptions(options),
  });
}

/**
 * Checks an address, however it was written.
 * @throws {UsageError} If its parts cannot be true together.
 */
export function tcpUri(parts: Omit<TcpUri, "kind">): TcpUri {
  const { host, port, to, ipv4, ipv6 } = parts;
  if (host.length > HOST_MAX) {
    throw new UsageError(`a host of ${host.length} characters is too long (at most ${HOST_MAX})`);
  }
  if (/\s/.test(host)) throw new UsageError(`host "${host}" has a space in it`);
  if (to !== undefined && to < port) throw new UsageError(`to=${to} is below port ${port}`);
  if (ipv4 === false && ipv6 === false) {
    throw new UsageError("ipv4=off and ipv6=off leave no kind of address");
  }
  return { kind: "tcp", ...parts };
}

/** Writes what follows `tcp:`. */
export function formatTcp(uri: TcpUri): string {
  const { host, port, to, ipv4, ipv6, keepAlive } = uri;
  const flags = { ipv4, ipv6, "keep-alive": keepAlive };
  return [
    `${host.includes(":") ? `[${host}]` : host}:${port}`,
    ...to === undefined ? [] : [`to=${to}`],
    ...Object.entries(flags).filter(([, on]) => on !== undefined)
      .map(([name, on]) => `${name}=${on ? "on" : "off"}`),
  ].join(",");
}

/**
 * Reads a port's number.
 * @throws {UsageError} If it is not one of 0 to 65535.
 */
export function parsePort(text: string, what: string): number {
  if (text === "") throw new UsageError(`the ${what} is missing`);
  if (!/^\d+$/.test(text)) throw new UsageError(`${what} "${text}" is not a number`);
  if (Number(text) > 65535) throw new UsageError(`${what} ${text} is above 65535`);
  return Number(text);
}

function parseOptions(text: string | undefined): Omit<TcpUri, "kind" | "host" | "port"> {
  const found: { to?: number; ipv4?: boolean; ipv6?: boolean; keepAlive?: boolean } = {};
  const seen = new Set<string>();
  for (const option of text?.split(",") ?? []) {
    const [name = "", ...values] = option.split("=");
    const value = values.length === 0 ? undefined : values.join("=");
    if (seen.has(name)) throw new UsageError(`option ${name} is there twice`);
    seen.add(name);
    if (name === "to") found.to = parsePort(value ?? "", "highest port");
    else if (name === "ipv4") found.ipv4 = parseFlag(name, value);
    else if (name === "ipv6") found.ipv6 = parseFlag(name, value);
    else if (name === "keep-alive") found.keepAlive = parseFlag(name, value);
    else if (name === "mptcp") refuseMultipath(parseFlag(name, value));
    else throw new UsageError(`option "${option}" is unknown`);
  }
  return found;
}

/**
 * Refuses multipath TCP, which QEMU knows and Deno does not.
 * @throws {UsageError} If it is asked for.
 */
export function refuseMultipath(on: boolean): void {
  if (on) throw new UsageError("multipath TCP is not supported");
}

function parseFlag(name: string, value: string | undefined): boolean {
  if (value === undefined || value === "on") return true;
  if (value === "off") return false;
  throw new UsageError(`${name}=${value} is neither on nor off`);
}

/** The kind of address that the flags leave: 4, 6, or 0 for both (QEMU's rule). */
export function familyOf(uri: TcpUri): 0 | 4 | 6 {
  const { ipv4, ipv6 } = uri;
  if (ipv4 && ipv6) return 0;
  if (ipv6 || ipv4 === false) return 6;
  if (ipv4 || ipv6 === false) return 4;
  return 0;
}

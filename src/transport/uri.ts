/**
 * Where a migration goes to or comes from, as QEMU's URIs write it (wire-format §11.3; QEMU
 * `migration/migration.c`, `migrate_uri_parse`). QEMU ignores options it does not know and ports that
 * are names; here a mistake is an error that shows the grammar.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { formatTcp, parseTcp, type TcpUri } from "./tcp_uri.ts";
import { parseSize } from "./size.ts";

/** A Unix socket. */
export interface UnixUri {
  /** Which kind of URI this is. */
  readonly kind: "unix";
  /** Of the socket's file. */
  readonly path: string;
}

/** A socket between a machine and its host. */
export interface VsockUri {
  /** Which kind of URI this is. */
  readonly kind: "vsock";
  /** Context identifier; {@linkcode VSOCK_ANY} listens on all. */
  readonly cid: number;
  /** 32 bits. */
  readonly port: number;
}

/** A command: the stream is its standard input (outgoing) or its standard output (incoming). */
export interface ExecUri {
  /** Which kind of URI this is. */
  readonly kind: "exec";
  /** The program and its arguments. */
  readonly args: readonly string[];
}

/** A descriptor this process was started with. */
export interface FdUri {
  /** Which kind of URI this is. */
  readonly kind: "fd";
  /** Its number. */
  readonly fd: number;
}

/** A file, from an offset on. */
export interface FileUri {
  /** Which kind of URI this is. */
  readonly kind: "file";
  /** From the current directory. */
  readonly path: string;
  /** In bytes; what lies before it is not touched. */
  readonly offset: number;
}

/** Any of them. */
export type MigrationUri = TcpUri | UnixUri | VsockUri | ExecUri | FdUri | FileUri;

/** The vsock context identifier that means any. */
export const VSOCK_ANY = 0xffffffff;

/** The longest path of a Unix socket, in bytes: `sun_path` less its terminator. */
const UNIX_PATH_MAX = 107;

const SHELL = ["/bin/sh", "-c"];

const GRAMMAR: Readonly<Record<MigrationUri["kind"], string>> = {
  tcp: "tcp:HOST:PORT[,to=MAXPORT][,ipv4[=on|off]][,ipv6[=on|off]][,keep-alive[=on|off]]",
  unix: "unix:PATH",
  vsock: "vsock:CID:PORT",
  exec: "exec:COMMAND",
  fd: "fd:NUMBER",
  file: "file:PATH[,offset=SIZE]",
};

/**
 * Reads a URI.
 * @param text Such as `tcp:10.0.0.2:4444`.
 * @throws {UsageError} If it is none; the message says what is wrong and what the form is.
 */
export function parseUri(text: string): MigrationUri {
  const colon = text.indexOf(":");
  const scheme = text.slice(0, Math.max(colon, 0));
  const rest = text.slice(colon + 1);
  if (!isScheme(scheme)) {
    const why = scheme === "rdma" ? "RDMA is not supported" : "not a migration URI";
    throw new UsageError(`"${text}": ${why}; write ${Object.values(GRAMMAR).join(", ")}`);
  }
  try {
    return PARSERS[scheme](rest);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`"${text}": ${error.what}; write ${GRAMMAR[scheme]}`);
  }
}

/**
 * Writes a URI that {@linkcode parseUri} reads.
 * @param uri What to write.
 * @returns The URI. A command that is not one of the shell is quoted for it, and a path with
 * `,offset=` in it has no URI: both exist only in QMP's object form.
 */
export function formatUri(uri: MigrationUri): string {
  switch (uri.kind) {
    case "tcp":
      return `tcp:${formatTcp(uri)}`;
    case "unix":
      return `unix:${uri.path}`;
    case "vsock":
      return `vsock:${uri.cid}:${uri.port}`;
    case "exec":
      return `exec:${shellCommand(uri.args)}`;
    case "fd":
      return `fd:${uri.fd}`;
    case "file":
      return `file:${uri.path}${uri.offset === 0 ? "" : `,offset=${uri.offset}`}`;
  }
}

/**
 * Reads the path of a Unix socket.
 * @throws {UsageError} If it is empty or too long for the kernel.
 */
export function parseUnixPath(path: string): UnixUri {
  if (path === "") throw new UsageError("the path is empty");
  const length = new TextEncoder().encode(path).length;
  if (length > UNIX_PATH_MAX) {
    throw new UsageError(
      `a Unix socket's path of ${length} bytes is too long (at most ${UNIX_PATH_MAX})`,
    );
  }
  return { kind: "unix", path };
}

/**
 * Reads a descriptor's number.
 * @throws {UsageError} If it is a name, or one of standard output and error.
 */
export function parseDescriptor(text: string): FdUri {
  if (!/^\d{1,9}$/.test(text)) {
    throw new UsageError(
      `descriptor "${text}" is not a number (names need QMP's getfd, which is not supported)`,
    );
  }
  const fd = Number(text);
  if (fd === 1 || fd === 2) {
    throw new UsageError(`descriptor ${fd} carries what this program says; use another`);
  }
  return { kind: "fd", fd };
}

/**
 * Reads the two numbers of a vsock address.
 * @throws {UsageError} If one of them does not fit 32 bits.
 */
export function parseVsock(cid: string, port: string): VsockUri {
  return { kind: "vsock", cid: uint32(cid, "CID"), port: uint32(port, "port") };
}

/** What {@linkcode parseUri} makes of a shell command. */
export function shellUri(command: string): ExecUri {
  return { kind: "exec", args: [...SHELL, command] };
}

const PARSERS: Readonly<Record<MigrationUri["kind"], (rest: string) => MigrationUri>> = {
  tcp: parseTcp,
  unix: parseUnixPath,
  vsock: (rest) => {
    const parts = /^([^:]*):([^:]*)$/.exec(rest);
    if (parts === null) throw new UsageError("CID or port is missing");
    return parseVsock(parts[1] ?? "", parts[2] ?? "");
  },
  exec: (rest) => {
    if (rest.trim() === "") throw new UsageError("the command is missing");
    return shellUri(rest);
  },
  fd: parseDescriptor,
  file: (rest) => {
    // Like QEMU, the first ",offset=" ends the path.
    const option = rest.indexOf(",offset=");
    const path = option < 0 ? rest : rest.slice(0, option);
    if (path === "") throw new UsageError("the path is missing");
    const offset = option < 0 ? 0 : parseSize(rest.slice(option + 8), "offset");
    return { kind: "file", path, offset };
  },
};

function isScheme(scheme: string): scheme is MigrationUri["kind"] {
  return Object.hasOwn(PARSERS, scheme);
}

function uint32(text: string, what: string): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (!(value <= 0xffffffff)) throw new UsageError(`${what} "${text}" is not a 32-bit number`);
  return value;
}

function shellCommand(args: readonly string[]): string {
  const [shell, option, command, ...more] = args;
  if (shell === SHELL[0] && option === SHELL[1] && command !== undefined && more.length === 0) {
    return command;
  }
  return args.map((arg) => /^[\w./:=@%+,-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`)
    .join(" ");
}

/**
 * Opening a connection: what a source does with its URI.
 *
 * @module
 */
import dns from "node:dns/promises";
import net from "node:net";
import { UsageError } from "../errors.ts";
import { BridgedConnection, DescriptorConnection, FileConnection } from "./connection.ts";
import { takeDescriptor } from "./descriptor.ts";
import { Endpoint } from "./endpoint.ts";
import { fileSpec } from "./file_channel.ts";
import { openCommand, openInherited } from "./local.ts";
import { openingError, requireVsock, type TransportOptions } from "./options.ts";
import { familyOf, type TcpUri } from "./tcp_uri.ts";
import { expectedHostname, secure } from "./tls_connection.ts";
import { loadCredentials } from "./tls_credentials.ts";
import { formatUri, type MigrationUri, type UnixUri, type VsockUri } from "./uri.ts";
import { waitFor } from "./wait.ts";

/**
 * Connects to a destination, or opens what stands for one. Called again it makes another connection to
 * the same address; a file is cut off at its offset each time.
 * @param uri Where to.
 * @param options When to give up, and how workers get the connection.
 * @throws {TransportError} If it cannot be connected, opened or encrypted, or the time was up.
 * @throws {SettingError} If it can have no TLS, or it is not known whose certificate is expected.
 * @throws {CancelledError} If the signal was aborted.
 * @throws {UsageError} If the URI is none to connect to.
 */
export async function connect(
  uri: MigrationUri,
  options: TransportOptions = {},
): Promise<Endpoint> {
  const { tls } = options;
  if (tls === undefined) return await connectPlain(uri, options);
  const setup = await loadCredentials(tls, "client", expectedHostname(uri, tls));
  return await secure(await connectPlain(uri, options), setup, options);
}

async function connectPlain(uri: MigrationUri, options: TransportOptions): Promise<Endpoint> {
  switch (uri.kind) {
    case "tcp":
    case "unix":
      checkTarget(uri);
      return await (options.handOff === "bridge" ? dialBridged : dial)(uri, options);
    case "vsock":
      requireVsock(uri, options);
      return await dialBridged(uri, options);
    case "exec":
      return await openCommand(uri, "write", options);
    case "fd":
      return await openInherited(uri, "write", options);
    case "file":
      return new Endpoint(new FileConnection(fileSpec(uri.path, uri.offset, "write")));
  }
}

function checkTarget(uri: TcpUri | UnixUri): void {
  if (uri.kind !== "tcp") return;
  const missing = uri.host === "" ? "host" : uri.port === 0 ? "port" : undefined;
  if (missing) throw new UsageError(`"${formatUri(uri)}" has no ${missing} to connect to`);
}

async function dial(uri: TcpUri | UnixUri, options: TransportOptions): Promise<Endpoint> {
  const peer = formatUri(uri);
  const fd = await waitFor<number>(`Connecting to ${peer}`, options, ({ resolve, reject }) => {
    const socket = new net.Socket();
    const fail = (cause: unknown) => reject(openingError("connect to", uri, cause));
    socket.on("error", fail);
    socket.on("connect", () => {
      // Here and not later: a socket that stays begins to read, and what it has read is lost with it.
      try {
        resolve(takeDescriptor(socket));
      } catch (error) {
        socket.destroy();
        fail(error);
      }
    });
    socket.connect(
      uri.kind === "unix" ? { path: uri.path } : {
        host: uri.host,
        port: uri.port,
        family: familyOf(uri),
        noDelay: true,
        keepAlive: uri.keepAlive !== false,
      },
    );
    return () => socket.destroy();
  });
  return new Endpoint(
    new DescriptorConnection({
      kind: "descriptor",
      fd,
      peer,
      direction: "both",
      transport: uri.kind,
    }),
  );
}

async function dialBridged(
  uri: TcpUri | UnixUri | VsockUri,
  options: TransportOptions,
): Promise<Endpoint> {
  const peer = formatUri(uri);
  const conn = await waitFor<Deno.Conn>(`Connecting to ${peer}`, options, (settle) => {
    let wanted = true;
    denoConnect(uri).then(
      (conn) => wanted ? settle.resolve(conn) : conn.close(),
      (cause) => settle.reject(openingError("connect to", uri, cause)),
    );
    return () => wanted = false;
  });
  return new Endpoint(new BridgedConnection(conn, peer));
}

async function denoConnect(uri: TcpUri | UnixUri | VsockUri): Promise<Deno.Conn> {
  if (uri.kind === "unix") return await Deno.connect({ transport: "unix", path: uri.path });
  if (uri.kind === "vsock") {
    return await Deno.connect({ transport: "vsock", cid: uri.cid, port: uri.port });
  }
  const family = familyOf(uri);
  const hostname = family === 0 ? uri.host : (await dns.lookup(uri.host, { family })).address;
  const conn = await Deno.connect({ hostname, port: uri.port });
  conn.setNoDelay(true);
  conn.setKeepAlive(uri.keepAlive !== false);
  return conn;
}

/**
 * Waiting for connections: what a destination does with its URI.
 *
 * @module
 */
import dns from "node:dns/promises";
import fs from "node:fs";
import net from "node:net";
import { TransportError } from "../errors.ts";
import { BridgedConnection, DescriptorConnection, FileConnection } from "./connection.ts";
import { requireDescriptors, takeDescriptor } from "./descriptor.ts";
import { Endpoint } from "./endpoint.ts";
import { fileSpec } from "./file_channel.ts";
import { Listener } from "./listener.ts";
import { openCommand, openInherited } from "./local.ts";
import {
  type ListenOptions,
  openingError,
  requireVsock,
  type TransportOptions,
} from "./options.ts";
import { codeOf } from "./os_error.ts";
import { familyOf, formatTcp, type TcpUri } from "./tcp_uri.ts";
import { secureListener } from "./tls_connection.ts";
import { formatUri, type MigrationUri, type UnixUri, VSOCK_ANY, type VsockUri } from "./uri.ts";
import { waitFor } from "./wait.ts";

/**
 * Listens for a source, or opens what stands for one: a command, descriptor or file gives one endpoint.
 * @param uri Where. Port 0 takes any that is free; with `to` the ports are tried in turn. The file of a
 * Unix socket is made, in place of one that was left behind, and removed at the end.
 * @param options When to give up, and how workers get the connections.
 * @returns The listener; its `uri` has the address and port in use.
 * @throws {TransportError} If it cannot listen or open there, or has no credentials for TLS.
 * @throws {CancelledError} If the signal was aborted.
 */
export async function listen(
  uri: MigrationUri,
  { tls, ...options }: ListenOptions = {},
): Promise<Listener> {
  const plain = await listenPlain(uri, options);
  if (tls === undefined) return plain;
  const source = typeof tls === "function" ? tls : () => Promise.resolve(tls);
  return await secureListener(plain, source, options);
}

async function listenPlain(uri: MigrationUri, options: TransportOptions): Promise<Listener> {
  switch (uri.kind) {
    case "tcp":
      return await listenTcp(uri, options);
    case "unix":
      return await listenUnix(uri, options);
    case "vsock":
      requireVsock(uri, options);
      return listenVsock(uri);
    case "exec":
      return single(uri, await openCommand(uri, "read", options));
    case "fd":
      return single(uri, await openInherited(uri, "read", options));
    case "file":
      return single(uri, new Endpoint(new FileConnection(fileSpec(uri.path, uri.offset, "read"))));
  }
}

function single(uri: MigrationUri, endpoint: Endpoint): Listener {
  const listener = new Listener(uri, () => Promise.resolve());
  listener.offer(endpoint);
  listener.end();
  return listener;
}

async function listenTcp(uri: TcpUri, options: TransportOptions): Promise<Listener> {
  const host = await listenHost(uri, options);
  const last = uri.to ?? uri.port;
  for (let port = uri.port;; port++) {
    const tried: TcpUri = { ...uri, host, port };
    try {
      return options.handOff === "bridge"
        ? serveBridged(tried, denoListen(tried))
        : await serve(tried);
    } catch (cause) {
      if (codeOf(cause) !== "EADDRINUSE" || port >= last) {
        throw openingError("listen on", uri, cause);
      }
    }
  }
}

async function listenUnix(uri: UnixUri, options: TransportOptions): Promise<Listener> {
  try {
    removeStale(uri.path);
    return options.handOff === "bridge" ? serveBridged(uri, denoListen(uri)) : await serve(uri);
  } catch (cause) {
    throw openingError("listen on", uri, cause);
  }
}

function listenVsock(uri: VsockUri): Listener {
  try {
    return serveBridged(uri, denoListen(uri));
  } catch (cause) {
    throw openingError("listen on", uri, cause);
  }
}

/** The address to bind: an empty host is all of them, and IPv4's unless `ipv6` says otherwise. */
async function listenHost(uri: TcpUri, options: TransportOptions): Promise<string> {
  const family = familyOf(uri);
  if (uri.host === "") return family === 6 || uri.ipv6 ? "::" : "0.0.0.0";
  if (net.isIP(uri.host)) return uri.host;
  return await waitFor<string>(`Looking up ${uri.host}`, options, ({ resolve, reject }) => {
    dns.lookup(uri.host, { family }).then(
      ({ address }) => resolve(address),
      (cause) => reject(openingError("listen on", uri, cause)),
    );
    return () => {};
  });
}

/** Like QEMU, replaces the socket's file, but nothing that is not a socket. */
function removeStale(path: string): void {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new TransportError(`Cannot listen on unix:${path}: a file is there`);
  fs.unlinkSync(path);
}

async function serve(uri: TcpUri | UnixUri): Promise<Listener> {
  const server = net.createServer({
    pauseOnConnect: true,
    noDelay: true,
    keepAlive: uri.kind === "tcp" && uri.keepAlive !== false,
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.on("error", reject);
  server.listen(
    uri.kind === "unix" ? { path: uri.path } : { host: uri.host, port: uri.port },
    resolve,
  );
  await promise;
  requireDescriptors(server);
  const listener = new Listener(resolved(uri, server.address()), () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    return promise;
  });
  server.on("connection", (socket) => {
    const { remoteAddress, remotePort } = socket;
    const peer = uri.kind === "unix" ? formatUri(uri) : peerOf(remoteAddress, remotePort);
    socket.on("error", () => {}); // what is wrong with it, its channel will find out
    if (isUnwanted(uri, remoteAddress)) {
      socket.destroy();
      return;
    }
    try {
      const fd = takeDescriptor(socket);
      const transport = uri.kind;
      const spec = { kind: "descriptor", fd, peer, direction: "both", transport } as const;
      listener.offer(new Endpoint(new DescriptorConnection(spec)));
    } catch {
      socket.destroy(); // no descriptor is left for it: to the peer, a connection that was refused
    }
  });
  return listener;
}

/** Deno does not set IPV6_V6ONLY, so with `ipv4=off` IPv4's connections are turned away one by one. */
function isUnwanted(uri: MigrationUri, host: string | undefined): boolean {
  return uri.kind === "tcp" && uri.ipv4 === false && (host?.startsWith("::ffff:") ?? false);
}

function peerOf(host: string | undefined, port: number | undefined): string {
  return `tcp:${formatTcp({ kind: "tcp", host: host ?? "", port: port ?? 0 })}`;
}

function resolved(uri: TcpUri | UnixUri, address: ReturnType<net.Server["address"]>): MigrationUri {
  if (uri.kind === "unix" || typeof address !== "object" || address === null) return uri;
  const { to: _, ...rest } = uri;
  return { ...rest, host: address.address, port: address.port };
}

function denoListen(uri: TcpUri | UnixUri | VsockUri): Deno.Listener {
  if (uri.kind === "unix") return Deno.listen({ transport: "unix", path: uri.path });
  if (uri.kind === "tcp") return Deno.listen({ hostname: uri.host, port: uri.port });
  const cid = uri.cid === VSOCK_ANY ? -1 : uri.cid;
  return Deno.listen({ transport: "vsock", cid, port: uri.port });
}

function serveBridged(uri: TcpUri | UnixUri | VsockUri, source: Deno.Listener): Listener {
  const { addr } = source;
  const at: MigrationUri = uri.kind === "tcp" && addr.transport === "tcp"
    ? resolved(uri, { address: addr.hostname, port: addr.port, family: "" })
    : uri.kind === "vsock" && addr.transport === "vsock"
    ? { ...uri, port: addr.port }
    : uri;
  const listener = new Listener(at, () => {
    source.close();
    if (uri.kind === "unix") fs.rmSync(uri.path, { force: true });
    return Promise.resolve();
  });
  offerAll(uri, source, listener);
  return listener;
}

async function offerAll(
  uri: TcpUri | UnixUri | VsockUri,
  source: Deno.Listener,
  listener: Listener,
): Promise<void> {
  try {
    for await (const conn of source) {
      const { remoteAddr } = conn;
      const isTcp = remoteAddr.transport === "tcp";
      if (isTcp && isUnwanted(uri, remoteAddr.hostname)) {
        conn.close();
        continue;
      }
      const peer = isTcp ? peerOf(remoteAddr.hostname, remoteAddr.port) : formatUri(uri);
      listener.offer(new Endpoint(new BridgedConnection(conn, peer)));
    }
  } catch {
    // Nothing can be accepted any more.
  }
  listener.end();
}

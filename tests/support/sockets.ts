/**
 * The few things that tests do with sockets, by the URIs that migrations use.
 *
 * @module
 */

type Address =
  | { readonly transport: "unix"; readonly path: string }
  | { readonly transport: "tcp"; readonly hostname: string; readonly port: number };

function parse(uri: string): Address {
  const unix = /^unix:(.+)$/.exec(uri);
  if (unix) return { transport: "unix", path: unix[1]! };
  const tcp = /^tcp:(.*):(\d+)$/.exec(uri);
  if (tcp) return { transport: "tcp", hostname: tcp[1]! || "127.0.0.1", port: Number(tcp[2]) };
  throw new TypeError(`Neither unix:PATH nor tcp:HOST:PORT: ${uri}`);
}

/**
 * Connects.
 * @param uri `unix:PATH` or `tcp:HOST:PORT`.
 * @returns The connection.
 */
export async function connectTo(uri: string): Promise<Deno.Conn> {
  const address = parse(uri);
  return address.transport === "unix" ? await Deno.connect(address) : await Deno.connect(address);
}

/**
 * Listens.
 * @param uri `unix:PATH` or `tcp:HOST:PORT`, with port 0 for any.
 * @returns The listener, and the URI under which it is reached.
 */
export function listenOn(uri: string): { listener: Deno.Listener; uri: string } {
  const address = parse(uri);
  if (address.transport === "unix") return { listener: Deno.listen(address), uri };
  const listener = Deno.listen(address);
  const { hostname, port } = listener.addr as Deno.NetAddr;
  return { listener, uri: `tcp:${hostname}:${port}` };
}

/** Writes all bytes. */
export async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

/** Closes something that may be closed already. */
export function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

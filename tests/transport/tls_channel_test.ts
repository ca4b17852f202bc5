import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect as connectTls, createServer } from "node:tls";
import net from "node:net";
import { setImmediate } from "node:timers";
import { ConnectionLostError, StateError, TransportError } from "../../src/errors.ts";
import type { Channel } from "../../src/transport/channel.ts";
import { connect } from "../../src/transport/connect.ts";
import { listen } from "../../src/transport/listen.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { TlsChannel } from "../../src/transport/tls_channel.ts";
import { loadCredentials } from "../../src/transport/tls_credentials.ts";
import type { TlsOptions } from "../../src/transport/tls_options.ts";
import { Authority, tlsTest } from "../support/certificates.ts";
import { connectedChannels, readAll } from "./connected.ts";
import { pattern, patternMismatch } from "./pattern.ts";

const HOST = "ferry.test";

async function goodFolder(ca: Authority): Promise<string> {
  return await ca.folder({
    server: await ca.issue("server", { names: [`DNS:${HOST}`] }),
    client: await ca.issue("client"),
  });
}

/** Both sides' handshakes on a connection of its own, as they come out. */
async function handshake(
  server: TlsOptions,
  client: TlsOptions,
  hostname = HOST,
): Promise<[PromiseSettledResult<TlsChannel>, PromiseSettledResult<TlsChannel>]> {
  const [near, far] = await connectedChannels();
  return await Promise.allSettled([
    TlsChannel.open(near, await loadCredentials(client, "client", hostname)),
    TlsChannel.open(far, await loadCredentials(server, "server")),
  ]);
}

async function pair(folder: string): Promise<[TlsChannel, TlsChannel]> {
  const [client, server] = await handshake({ folder }, { folder });
  assert(client.status === "fulfilled", "the client's handshake");
  assert(server.status === "fulfilled", "the server's handshake");
  return [client.value, server.value];
}

tlsTest("TlsChannel carries bytes both ways at the same time", async (ca) => {
  const [ours, peers] = await pair(await goodFolder(ca));
  const bytes = pattern(3 << 20);
  const exchange = async (channel: Channel) => {
    const [got] = await Promise.all([
      readAll(channel),
      channel.writeGather([bytes.subarray(0, 1000), new Uint8Array(0), bytes.subarray(1000)])
        .then(() => channel.shutdown()),
    ]);
    assertEquals([got.length, patternMismatch(got)], [bytes.length, -1]);
    assertEquals(await channel.read(new Uint8Array(1)), 0, "the end stays the end");
  };
  await Promise.all([exchange(ours), exchange(peers)]);
  ours.close();
  peers.close();
});

tlsTest(
  "TlsChannel.read() delivers in whatever pieces are asked for, also to shared memory",
  async (ca) => {
    const [ours, peers] = await pair(await goodFolder(ca));
    await ours.writeGather([]);
    await ours.write(pattern(100_000));
    await ours.shutdown();
    const into = new Uint8Array(new SharedArrayBuffer(7));
    const got: number[] = [];
    for (let count; (count = await peers.read(into)) > 0;) got.push(...into.subarray(0, count));
    assertEquals(patternMismatch(Uint8Array.from(got)), -1);
    assertEquals(got.length, 100_000);
    ours.close();
    peers.close();
  },
);

/** A channel that, once told to, first collects what comes and then has all of it at once. */
class Stock implements Channel {
  readonly peer: string;
  readonly collected = Promise.withResolvers<void>();
  served = 0;
  #wanted = 0;
  #stock: Uint8Array | undefined;

  constructor(private readonly inner: Channel) {
    this.peer = inner.peer;
  }

  collect(bytes: number): void {
    this.#wanted = bytes;
  }

  async read(into: Uint8Array): Promise<number> {
    if (this.#wanted === 0) return await this.inner.read(into);
    if (this.#stock === undefined) {
      this.#stock = await readAll(this.inner, this.#wanted);
      this.collected.resolve();
    }
    const piece = this.#stock.subarray(this.served, this.served + into.length);
    if (piece.length === 0) return await this.inner.read(into);
    into.set(piece);
    this.served += piece.length;
    return piece.length;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.inner.write(bytes);
  }

  writeGather(parts: readonly Uint8Array[]): Promise<void> {
    return this.inner.writeGather(parts);
  }

  shutdown(): Promise<void> {
    return this.inner.shutdown();
  }

  close(): void {
    this.inner.close();
  }
}

tlsTest(
  "TlsChannel takes no more from a peer than a bounded piece ahead of who reads",
  async (ca) => {
    const folder = await goodFolder(ca);
    const [near, far] = await connectedChannels();
    const stock = new Stock(far);
    const [client, server] = await Promise.all([
      TlsChannel.open(near, await loadCredentials({ folder }, "client", HOST)),
      TlsChannel.open(stock, await loadCredentials({ folder }, "server")),
    ]);
    const size = 16 << 20;
    stock.collect(size - (1 << 20)); // less than is sent, as a part is taken before
    const writing = client.write(pattern(size));
    await stock.collected.promise;
    // All of it is there, and could be taken in these turns of the event loop.
    for (let turn = 0; turn < 500; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert(stock.served < 2 << 20, `${stock.served} bytes were taken`);
    const got = await readAll(server, size);
    assertEquals([got.length, patternMismatch(got)], [size, -1]);
    await writing;
    client.close();
    server.close();
  },
);

tlsTest("TlsChannel.close() rejects what is pending, and misuse is refused", async (ca) => {
  const [ours, peers] = await pair(await goodFolder(ca));
  const reading = ours.read(new Uint8Array(1));
  await assertRejects(() => ours.read(new Uint8Array(1)), StateError, "while another is pending");
  await assertRejects(() => peers.read(new Uint8Array(0)), RangeError);
  const writing = ours.write(new Uint8Array(64 << 20));
  await assertRejects(() => ours.write(new Uint8Array(1)), StateError, "while another is pending");
  await assertRejects(() => ours.shutdown(), StateError, "while another is pending");
  ours.close();
  await assertRejects(() => reading, ConnectionLostError, "it was closed on this side");
  await assertRejects(() => writing, ConnectionLostError, "it was closed on this side");
  await assertRejects(() => ours.read(new Uint8Array(1)), ConnectionLostError);
  await assertRejects(() => ours.write(new Uint8Array(1)), ConnectionLostError);
  await assertRejects(() => ours.shutdown(), ConnectionLostError);
  peers.close();
});

/** What the peer's kernel sees after the last byte: how many more, and whether it was an end. */
async function afterLast(ca: Authority, farewell: boolean): Promise<[number, number]> {
  const folder = await goodFolder(ca);
  const [near, far] = await connectedChannels();
  const [nearTap, farTap] = await connectedChannels();
  let passed = 0;
  const pass = async (from: Channel, to: Channel, count: (bytes: number) => void) => {
    const buffer = new Uint8Array(4096);
    for (let got; (got = await from.read(buffer)) > 0;) {
      count(got);
      await to.write(buffer.subarray(0, got));
    }
    await to.shutdown();
  };
  // client — near … far — tap — nearTap … farTap — server
  const passing = pass(far, nearTap, (bytes) => passed += bytes);
  const back = pass(nearTap, far, () => {}).catch(() => {});
  const [client, server] = await Promise.all([
    TlsChannel.open(near, await loadCredentials({ folder, farewell }, "client", HOST)),
    TlsChannel.open(farTap, await loadCredentials({ folder }, "server")),
  ]);
  await client.write(pattern(10));
  assertEquals((await readAll(server, 10)).length, 10);
  const before = passed;
  await client.shutdown();
  const end = await server.read(new Uint8Array(1));
  await passing;
  for (const each of [client, server, far, nearTap]) each.close();
  await back;
  return [passed - before, end];
}

tlsTest("TlsChannel.shutdown() says farewell where it is told to, and only there", async (ca) => {
  const [said, end] = await afterLast(ca, true);
  assertEquals(end, 0);
  assert(said > 0 && said < 64, `an alert of ${said} bytes`);
  assertEquals(await afterLast(ca, false), [0, 0]);
});

tlsTest("TlsChannel.shutdown() is the last that is written", async (ca) => {
  const [ours, peers] = await pair(await goodFolder(ca));
  await Promise.all([ours.shutdown(), ours.shutdown()]);
  await assertRejects(() => ours.write(new Uint8Array(1)), StateError, "after its end");
  assertEquals(await peers.read(new Uint8Array(1)), 0);
  ours.close();
  peers.close();
});

/** Who says what when a handshake fails. */
async function refused(
  server: TlsOptions,
  client: TlsOptions,
  by: "client" | "server",
  why: string,
  hostname?: string,
): Promise<void> {
  const results = await handshake(server, client, hostname);
  const [mine, other] = by === "client" ? results : results.toReversed();
  if (other?.status === "fulfilled") {
    // Then it finds the connection ended before anything was said.
    const outcome = await other.value.read(new Uint8Array(1)).catch((error) => error);
    assert(outcome === 0 || outcome instanceof ConnectionLostError, String(outcome));
    other.value.close();
  }
  assert(mine?.status === "rejected", `the ${by} accepts`);
  assert(mine.reason instanceof TransportError, String(mine.reason));
  assert(mine.reason.message.includes(why), mine.reason.message);
}

tlsTest("TlsChannel: a client accepts no server but the one it is to talk to", async (ca) => {
  const folder = await goodFolder(ca);
  await refused(
    { folder },
    { folder },
    "client",
    "does not match the hostname other.test",
    "other.test",
  );
  await refused(
    { folder },
    { folder },
    "client",
    "does not match the hostname 127.0.0.1",
    "127.0.0.1",
  );
  await refused({ folder }, { folder }, "client", "does not match the hostname ", "");
  await using elsewhere = await Authority.create();
  const foreign = await goodFolder(elsewhere);
  await refused({ folder: foreign }, { folder }, "client", "not trusted");
});

tlsTest(
  "TlsChannel: a server lets in no client without a certificate of its authority",
  async (ca) => {
    const folder = await goodFolder(ca);
    await refused({ folder }, { folder: await ca.folder({}) }, "server", "ertificate");
    await using stranger = await Authority.create();
    // It trusts our server, and has a certificate of another authority of the same name.
    const client = await stranger.issue("client");
    const forged = await Deno.makeTempDir({ dir: ca.dir });
    for (
      const [name, text] of Object.entries({
        "ca-cert.pem": ca.own.certificate,
        "client-cert.pem": client.certificate,
        "client-key.pem": client.key,
      })
    ) await Deno.writeTextFile(`${forged}/${name}`, text);
    await assertRejects(() => loadCredentials({ folder: forged }, "client"), TransportError);
  },
);

tlsTest("TlsChannel: who is not authorised or was revoked is not let in", async (ca) => {
  const [server, client] = [
    await ca.issue("server", { names: [`DNS:${HOST}`] }),
    await ca.issue("client"),
  ];
  const folder = await ca.folder({ server, client });
  const only = (match: string) => ({
    rules: [{ match, policy: "allow" }],
    policy: "deny",
  } as const);
  await refused(
    { folder, authorization: only("C=GB,O=Ferry,CN=somebody") },
    { folder },
    "server",
    "is not authorised: C=GB,O=Ferry,CN=client",
  );
  const revoking = await ca.folder({ server, crl: await ca.revoke([client]) });
  await refused({ folder: revoking }, { folder }, "server", "has been revoked");
  const [let1, let2] = await handshake(
    { folder, authorization: only("C=GB,O=Ferry,CN=client") },
    { folder },
  );
  assert(let1.status === "fulfilled" && let2.status === "fulfilled");
  let1.value.close();
  let2.value.close();
});

tlsTest("TlsChannel: with verify-peer off anybody is let in", async (ca) => {
  const folder = await goodFolder(ca);
  const [client, server] = await handshake(
    { folder, verifyPeer: false },
    { folder: await ca.folder({}) },
  );
  assert(client.status === "fulfilled" && server.status === "fulfilled");
  client.value.close();
  server.value.close();
});

/** A client of ours against a server that keeps to no rules. */
async function against(folder: string, cert: string, key: string): Promise<unknown> {
  const server = createServer({ cert, key });
  server.on("tlsClientError", () => {});
  const raw = net.createServer((socket) => {
    socket.on("error", () => {});
    server.emit("connection", socket);
  });
  await new Promise<void>((resolve) => raw.listen(0, "127.0.0.1", () => resolve()));
  const { port } = raw.address() as net.AddressInfo;
  const endpoint = await connect({ kind: "tcp", host: "127.0.0.1", port });
  try {
    const setup = await loadCredentials({ folder }, "client", HOST);
    const channel = await TlsChannel.open(openChannel(endpoint.handOff()), setup);
    channel.close();
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await new Promise((resolve) => raw.close(resolve));
  }
}

tlsTest(
  "TlsChannel: a certificate that cannot be parsed is not taken by the names in it",
  async (ca) => {
    const folder = await goodFolder(ca);
    await using namesake = await Authority.create();
    const names = [`DNS:${HOST}`];
    const subject = `/CN=${HOST}`;
    // Of version 1, signed by an authority that has the name of ours and not its key.
    const old = await namesake.issue("old", { subject, old: true });
    const error = await against(folder, old.certificate, old.key);
    assert(error instanceof TransportError, String(error));
    // A good one, but the one in between is of version 1.
    await using between = await namesake.intermediate("between");
    const leaf = await between.issue("leaf", { names });
    const v1 = await namesake.issue("between", { old: true });
    const chained = await against(folder, leaf.certificate + v1.certificate, leaf.key);
    assert(chained instanceof TransportError, String(chained));
    // And that our own is taken from such a server, so that the others were refused for what they are.
    const good = await ca.issue("good", { names });
    assertEquals(await against(folder, good.certificate, good.key), undefined);
  },
);

tlsTest("TlsChannel: the other side speaks no TLS, or nothing", async (ca) => {
  const folder = await goodFolder(ca);
  for (const role of ["client", "server"] as const) {
    const [near, far] = await connectedChannels();
    await far.write(new TextEncoder().encode("QEVM and so on, in plain text"));
    const setup = await loadCredentials({ folder }, role, HOST);
    const error = await assertRejects(() => TlsChannel.open(near, setup), TransportError);
    assertEquals(error.message, `No TLS with ${near.peer}: the peer speaks no TLS`);
    far.close();
    const [silent, gone] = await connectedChannels();
    gone.close();
    await assertRejects(() => TlsChannel.open(silent, setup), TransportError, "No TLS with");
  }
});

tlsTest(
  "TlsChannel: a client of Node's own is let in with a certificate, and hears the end",
  async (ca) => {
    const folder = await goodFolder(ca);
    const [near, far] = await connectedChannels();
    near.close();
    far.close();
    const accepted = Promise.withResolvers<TlsChannel>();
    await using listener = await listen({ kind: "tcp", host: "127.0.0.1", port: 0 });
    assert(listener.uri.kind === "tcp");
    const socket = connectTls({
      ...{ host: "127.0.0.1", port: listener.uri.port, servername: HOST },
      ca: ca.own.certificate,
      cert: await Deno.readTextFile(`${folder}/client-cert.pem`),
      key: await Deno.readTextFile(`${folder}/client-key.pem`),
    });
    socket.on("error", (error) => accepted.reject(error));
    const endpoint = await listener.accept();
    const setup = await loadCredentials({ folder }, "server");
    TlsChannel.open(openChannel(endpoint!.handOff()), setup).then(
      accepted.resolve,
      accepted.reject,
    );
    const channel = await accepted.promise;
    const said = Promise.withResolvers<string>();
    let text = "";
    socket.on("data", (bytes) => text += bytes);
    socket.on("end", () => said.resolve(text));
    await channel.write(new TextEncoder().encode("hello"));
    await channel.shutdown();
    assertEquals(await said.promise, "hello");
    await new Promise<void>((resolve) => socket.end(resolve));
    assertEquals(await channel.read(new Uint8Array(1)), 0);
    channel.close();
  },
);

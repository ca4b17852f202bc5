import { assert, assertEquals, assertRejects } from "@std/assert";
import { CancelledError, SettingError, TransportError } from "../../src/errors.ts";
import { connect } from "../../src/transport/connect.ts";
import type { Endpoint } from "../../src/transport/endpoint.ts";
import { listen } from "../../src/transport/listen.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import type { TransportOptions } from "../../src/transport/options.ts";
import type { TlsOptions } from "../../src/transport/tls_options.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { type Authority, tlsTest } from "../support/certificates.ts";
import { pattern } from "./pattern.ts";
import { readAll, temporaryDirectory } from "./connected.ts";
import { RemoteChannel } from "./remote_channel.ts";

const NAMES = { names: ["DNS:ferry.test", "IP:127.0.0.1"] };

/** One folder with a server's and a client's certificates. */
async function credentials(authority: Authority): Promise<string> {
  return await authority.folder({
    server: await authority.issue("server", NAMES),
    client: await authority.issue("client"),
  });
}

interface Both {
  readonly server: TlsOptions;
  readonly client?: TlsOptions | undefined;
  readonly uri?: string;
  readonly options?: TransportOptions;
}

/** Connects; gives both endpoints. */
async function connected({ server, client, uri = "tcp:127.0.0.1:0", options = {} }: Both) {
  await using listener = await listen(parseUri(uri), { ...options, tls: server });
  const ours = await connect(listener.uri, { ...options, tls: client });
  const peers = await listener.accept();
  assert(peers);
  return [ours, peers] as const;
}

async function close(...endpoints: readonly Endpoint[]): Promise<void> {
  for (const endpoint of endpoints) await endpoint.close();
}

tlsTest(
  "TLS carries bytes both ways, and the end of one side leaves the other open",
  async (ca) => {
    const folder = await credentials(ca);
    for (const handOff of ["descriptor", "bridge"] as const) {
      const [ours, peers] = await connected({
        server: { folder },
        client: { folder },
        options: { handOff },
      });
      const [near, far] = [openChannel(ours.handOff()), openChannel(peers.handOff())];
      await near.write(pattern(1000));
      await near.shutdown();
      assertEquals(await readAll(far), pattern(1000));
      await far.write(pattern(500, 7));
      await far.shutdown();
      assertEquals(await readAll(near), pattern(500, 7));
      near.close();
      far.close();
      await close(ours, peers);
    }
  },
);

tlsTest(
  "Endpoint.watchEnd() of a connection with TLS loses nothing, and tells of its end",
  async (ca) => {
    const folder = await credentials(ca);
    for (const ends of [false, true]) {
      const [ours, peers] = await connected({ server: { folder }, client: { folder } });
      const near = openChannel(ours.handOff());
      const ended = Promise.withResolvers<unknown>();
      await near.write(pattern(4));
      await peers.readHead(4);
      peers.watchEnd(ended.resolve);
      await near.write(pattern(3000, 4));
      if (ends) {
        await near.shutdown();
        assertEquals(await ended.promise, undefined);
      }
      await peers.endWatch();
      if (!ends) await near.shutdown();
      const far = openChannel(peers.handOff());
      assertEquals(await readAll(far), pattern(3004));
      near.close();
      far.close();
      await close(ours, peers);
    }
  },
);

tlsTest("TLS passes between workers, a direction each, with the head first", async (ca) => {
  using directory = temporaryDirectory();
  const folder = await credentials(ca);
  const [ours, peers] = await connected({
    server: { folder },
    client: { folder, hostname: "ferry.test" },
    uri: `unix:${directory.path}/s`,
  });
  await ours.writeHead(pattern(5));
  assertEquals(await peers.readHead(4), pattern(4));
  const halves = ours.handOffHalves();
  {
    await using writer = await RemoteChannel.open(halves.write);
    await using back = await RemoteChannel.open(halves.read);
    await using reader = await RemoteChannel.open(peers.handOff());
    const size = 3 << 20;
    const [got] = await Promise.all([
      reader.ask({ do: "read", count: Infinity }),
      writer.ask({ do: "write", from: 5, count: size })
        .then(() => writer.ask({ do: "shutdown" })),
    ]);
    assertEquals([got.count, got.mismatch], [size + 5, -1]);
    await reader.ask({ do: "write", from: 0, count: 100 });
    await reader.ask({ do: "shutdown" });
    const answer = await back.ask({ do: "read", count: Infinity });
    assertEquals([answer.count, answer.mismatch], [100, -1]);
  }
  await close(ours, peers);
});

tlsTest(
  "Closing an endpoint at any time leaves nothing behind, and the peer sees the end",
  async (ca) => {
    const folder = await credentials(ca);
    const [ours, peers] = await connected({ server: { folder }, client: { folder } });
    await ours.close();
    assertEquals((await peers.readHead(1)).length, 0);
    await peers.close();
    // After the hand-off, with somebody in the middle of a write that nobody takes.
    const [near, far] = await connected({ server: { folder }, client: { folder } });
    const writer = await RemoteChannel.open(near.handOff());
    const writing = writer.tell({ do: "write for ever" });
    assertEquals((await far.readHead(1)).length, 1);
    await near.close();
    assertEquals((await writing).error?.name, "ConnectionLostError");
    await far.close();
    await writer[Symbol.asyncDispose]();
  },
);

tlsTest("connect() with TLS refuses before it connects", async (ca) => {
  const folder = await credentials(ca);
  const uri = parseUri("unix:/nowhere/at/all");
  await assertRejects(() => connect(uri, { tls: { folder } }), SettingError, "destination's name");
  const named = { folder, hostname: "ferry.test" };
  await assertRejects(() => connect(uri, { tls: named }), TransportError, "no such file");
  const nothing = { folder: ca.dir + "/nothing", hostname: "a" };
  await assertRejects(() => connect(uri, { tls: nothing }), TransportError, "ca-cert.pem");
  await assertRejects(
    () => connect(parseUri("exec:cat > /dev/null"), { tls: named }),
    SettingError,
    "two directions",
  );
});

tlsTest("listen() with TLS refuses credentials that are not a server's", async (ca) => {
  const folder = await ca.folder({ client: await ca.issue("client") });
  await assertRejects(
    () => listen(parseUri("tcp:127.0.0.1:0"), { tls: { folder } }),
    TransportError,
    "server-cert.pem",
  );
});

tlsTest("A listener with TLS turns away who is wrong, says so, and serves the next", async (ca) => {
  const folder = await credentials(ca);
  const refused: string[] = [];
  await using listener = await listen(parseUri("tcp:127.0.0.1:0"), {
    tls: { folder },
    onRefused: ({ message }) => refused.push(message),
  });
  const anonymous = await connect(listener.uri, { tls: { folder: await ca.folder({}) } })
    .catch((error) => error);
  if (!(anonymous instanceof Error)) {
    // It learns with the first answer that it was not let in.
    await assertRejects(async () => {
      assert((await anonymous.readHead(1)).length > 0, "ended");
    });
    await anonymous.close();
  }
  const plain = await connect(listener.uri);
  await plain.writeHead(new TextEncoder().encode("QEVM and so on"));
  await plain.readHead(100);
  await plain.close();
  const good = await connect(listener.uri, { tls: { folder } });
  const accepted = await listener.accept();
  assert(accepted);
  assertEquals(refused.length, 2);
  for (const message of refused) {
    assert(message.startsWith("Refused a connection from tcp:"), message);
  }
  await close(good, accepted);
});

tlsTest("A connection that says nothing keeps nobody else from a listener with TLS", async (ca) => {
  const folder = await credentials(ca);
  await using listener = await listen(parseUri("tcp:127.0.0.1:0"), { tls: { folder } });
  const silent = await Promise.all(Array.from({ length: 3 }, () => connect(listener.uri)));
  const ours = await connect(listener.uri, { tls: { folder } });
  const peers = await listener.accept();
  assert(peers);
  await close(ours, peers, ...silent);
});

tlsTest("connect() with TLS can be given up while the other side says nothing", async (ca) => {
  const folder = await credentials(ca);
  await using listener = await listen(parseUri("tcp:127.0.0.1:0"));
  const abort = new AbortController();
  const connecting = connect(listener.uri, { tls: { folder }, signal: abort.signal });
  const peer = await listener.accept();
  assert((await peer!.readHead(1)).length === 1, "it has begun its handshake");
  abort.abort();
  await assertRejects(() => connecting, CancelledError, "TLS handshake");
  await peer!.close();
});

tlsTest(
  "A listener asks for each connection whether it is encrypted, and with what",
  async (ca) => {
    const folder = await credentials(ca);
    let now: TlsOptions | undefined;
    const refused: string[] = [];
    await using listener = await listen(parseUri("tcp:127.0.0.1:0"), {
      tls: () => Promise.resolve(now),
      onRefused: ({ message }) => refused.push(message),
    });
    const talk = async (tls: TlsOptions | undefined) => {
      const ours = await connect(listener.uri, { tls });
      const peers = (await listener.accept())!;
      const [near, far] = [openChannel(ours.handOff()), openChannel(peers.handOff())];
      await near.write(pattern(1000));
      await near.shutdown();
      assertEquals(await readAll(far), pattern(1000));
      near.close();
      far.close();
      await close(ours, peers);
    };
    await talk(undefined);
    now = { folder };
    await talk({ folder });
    now = { folder: `${folder}/nowhere` };
    const lost = await connect(listener.uri);
    assertEquals(await readAll(openChannel(lost.handOff())), new Uint8Array(0));
    await lost.close();
    assertEquals(refused.length, 1);
    assert(refused[0]!.includes("/nowhere/ca-cert.pem"), refused[0]);
    now = undefined;
    await talk(undefined);
  },
);

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import net from "node:net";
import { CancelledError, TransportError } from "../../src/errors.ts";
import { connect } from "../../src/transport/connect.ts";
import { listen } from "../../src/transport/listen.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import type { TcpUri } from "../../src/transport/tcp_uri.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { connectedEndpoints, readAll, temporaryDirectory } from "./connected.ts";
import { pattern } from "./pattern.ts";

function assertTcp(uri: { readonly kind: string }): TcpUri {
  assert(uri.kind === "tcp");
  return uri as TcpUri;
}

for (const handOff of ["descriptor", "bridge"] as const) {
  Deno.test(`listen() takes any free port, and says which (${handOff})`, async () => {
    await using listener = await listen(parseUri("tcp:127.0.0.1:0,keep-alive=off"), { handOff });
    const uri = assertTcp(listener.uri);
    assert(uri.port > 0);
    assertEquals(formatUri(uri), `tcp:127.0.0.1:${uri.port},keep-alive=off`);
  });

  Deno.test(`listen() on no host means all of IPv4's, or of IPv6's (${handOff})`, async () => {
    for (const [uri, host] of [["tcp::0", "0.0.0.0"], ["tcp::0,ipv6", "::"]] as const) {
      await using listener = await listen(parseUri(uri), { handOff });
      const resolved = assertTcp(listener.uri);
      assertEquals(resolved.host, host);
      const own = { ...resolved, host: host === "::" ? "::1" : "127.0.0.1" };
      await (await connect(own)).close();
      await (await listener.accept())?.close();
    }
  });

  Deno.test(`listen() says that a port is in use, and tries the others up to "to" (${handOff})`, async () => {
    await using first = await listen(parseUri("tcp:127.0.0.1:0"), { handOff });
    const { port } = assertTcp(first.uri);
    const taken: TcpUri = { kind: "tcp", host: "127.0.0.1", port };
    const error = await assertRejects(
      () => listen(taken, { handOff }),
      TransportError,
      `Cannot listen on tcp:127.0.0.1:${port}: the address is in use`,
    );
    assert(error.advice?.includes("port 0"));
    const to = Math.min(port + 50, 65535);
    await using next = await listen({ ...taken, to }, { handOff });
    const found = assertTcp(next.uri);
    assert(found.port > port && found.port <= to, `${found.port}`);
    assertEquals(found.to, undefined);
  });

  Deno.test(`listen() makes the file of a Unix socket and removes it (${handOff})`, async () => {
    using directory = temporaryDirectory();
    const path = `${directory.path}/s`;
    const listener = await listen({ kind: "unix", path }, { handOff });
    assert(Deno.lstatSync(path).isSocket);
    const ours = await connect(listener.uri, { handOff });
    const peers = await listener.accept();
    assertEquals([ours.peer, peers?.peer], [`unix:${path}`, `unix:${path}`]);
    await ours.close();
    await peers?.close();
    await listener.close();
    assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
  });

  Deno.test(`listen() replaces the file of a socket that was left behind, and no other (${handOff})`, async () => {
    using directory = temporaryDirectory();
    const stale = `${directory.path}/stale`;
    // A process that is killed leaves its socket's file.
    const code = `Deno.listen({ transport: "unix", path: "${stale}" }); Deno.exit();`;
    const left = await new Deno.Command(Deno.execPath(), { args: ["eval", code] }).output();
    assert(left.success && Deno.lstatSync(stale).isSocket);
    const listener = await listen({ kind: "unix", path: stale }, { handOff });
    await (await connect(listener.uri)).close();
    await (await listener.accept())?.close();
    await listener.close();

    const file = `${directory.path}/file`;
    Deno.writeTextFileSync(file, "precious");
    await assertRejects(
      () => listen({ kind: "unix", path: file }, { handOff }),
      TransportError,
      `Cannot listen on unix:${file}: a file is there`,
    );
    assertEquals(Deno.readTextFileSync(file), "precious");
  });

  Deno.test(`listen() says why a Unix socket cannot be made (${handOff})`, async () => {
    using directory = temporaryDirectory();
    const path = `${directory.path}/none/s`;
    await assertRejects(
      () => listen({ kind: "unix", path }, { handOff }),
      TransportError,
      `Cannot listen on unix:${path}: `,
    );
  });

  Deno.test(`listen() gives many connections, each with its own bytes (${handOff})`, async () => {
    await using listener = await listen(parseUri("tcp:127.0.0.1:0"), { handOff });
    const count = 20;
    const senders = Array.from({ length: count }, async (_, i) => {
      const channel = openChannel((await connect(listener.uri)).handOff());
      await channel.write(Uint8Array.of(i));
      await channel.write(pattern(50_000, i));
      await channel.shutdown();
      return channel;
    });
    const seen = new Set<number>();
    for await (const endpoint of listener) {
      const [i = -1] = await endpoint.readHead(1);
      seen.add(i);
      const channel = openChannel(endpoint.handOff());
      assertEquals(await readAll(channel), Uint8Array.of(i, ...pattern(50_000, i)));
      channel.close();
      if (seen.size === count) break;
    }
    for (const sender of senders) (await sender).close();
  });

  Deno.test(`the peer of an accepted connection is the other's address (${handOff})`, async () => {
    const [ours, peers] = await connectedEndpoints({ handOff });
    assert(/^tcp:127\.0\.0\.1:\d+$/.test(peers.peer), peers.peer);
    assert(parseUri(ours.peer).kind === "tcp");
    await ours.close();
    await peers.close();
  });
}

Deno.test("listen() says that a host is unknown, and can be given up", async () => {
  const uri = parseUri("tcp:no-such-host.invalid:0");
  await assertRejects(() => listen(uri), TransportError, "Cannot listen on tcp:no-such-host");
  await assertRejects(() => listen(uri, { signal: AbortSignal.abort() }), CancelledError);
});

Deno.test("listen() says that an address may be another machine's", async () => {
  const error = await assertRejects(
    () => listen(parseUri("tcp:192.0.2.1:0")),
    TransportError,
    "Cannot listen on tcp:192.0.2.1:0: ",
  );
  assertEquals(error.advice, "Check that the address belongs to this machine");
});

for (const handOff of ["descriptor", "bridge"] as const) {
  Deno.test(`listen() with ipv4=off turns IPv4 away (${handOff})`, async () => {
    await using listener = await listen(parseUri("tcp::0,ipv4=off"), { handOff });
    const { port } = assertTcp(listener.uri);
    const ipv4 = openChannel((await connect({ kind: "tcp", host: "127.0.0.1", port })).handOff());
    assertEquals(await ipv4.read(new Uint8Array(1)), 0);
    ipv4.close();
    const ipv6 = await connect({ kind: "tcp", host: "::1", port });
    const accepted = await listener.accept();
    assert(accepted?.peer.startsWith("tcp:[::1]:"), accepted?.peer);
    await ipv6.close();
    await accepted?.close();
  });
}

Deno.test("listen() refuses vsock unless the caller vouches for the flag", async () => {
  await assertRejects(() => listen(parseUri("vsock:3:1234")), TransportError, "vsock");
});

Deno.test("listen() on vsock, where Deno has the flag, listens or says why not", async () => {
  const source = (file: string) => JSON.stringify(import.meta.resolve(`../../src/${file}`));
  const code = `
    import { TransportError } from ${source("errors.ts")};
    import { listen } from ${source("transport/listen.ts")};
    try {
      await (await listen({ kind: "vsock", cid: 0xffffffff, port: 41234 }, { vsock: true })).close();
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
    }`;
  const { code: status, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--unstable-vsock", code],
  }).output();
  assertEquals([status, new TextDecoder().decode(stderr)], [0, ""]);
});

Deno.test("listen() to a file gives one endpoint that reads from the offset", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  Deno.writeFileSync(path, pattern(100));
  await using listener = await listen({ kind: "file", path, offset: 60 });
  const endpoint = await listener.accept();
  assert(endpoint);
  assertEquals(await endpoint.readHead(4), pattern(4, 60));
  const channel = openChannel(endpoint.handOff());
  assertEquals(await readAll(channel), pattern(40, 60));
  channel.close();
  assertEquals(await listener.accept(), undefined);
  await assertRejects(
    () => listen({ kind: "file", path: `${path}.none`, offset: 0 }),
    TransportError,
    "no such file",
  );
});

Deno.test("listen() survives connections that are reset before they are accepted", async () => {
  await using listener = await listen(parseUri("tcp:127.0.0.1:0"));
  const { port } = assertTcp(listener.uri);
  for (let i = 0; i < 5; i++) {
    const socket = net.connect({ host: "127.0.0.1", port });
    await new Promise((resolve) => socket.on("connect", resolve));
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.resetAndDestroy();
    await closed;
  }
  for (let i = 0; i < 5; i++) {
    const endpoint = await listener.accept();
    assert(endpoint);
    await endpoint.readHead(4).catch((error) => assert(error instanceof Error));
    await endpoint.close();
  }
});

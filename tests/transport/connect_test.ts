import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import net from "node:net";
import { CancelledError, TransportError, UsageError } from "../../src/errors.ts";
import { connect } from "../../src/transport/connect.ts";
import { listen } from "../../src/transport/listen.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { readAll, temporaryDirectory } from "./connected.ts";
import { pattern } from "./pattern.ts";

for (const handOff of ["descriptor", "bridge"] as const) {
  Deno.test(`connect() says why TCP and Unix sockets cannot be connected (${handOff})`, async () => {
    const listener = await listen(parseUri("tcp:127.0.0.1:0"));
    await listener.close();
    const uri = formatUri(listener.uri);
    const refused = await assertRejects(
      () => connect(listener.uri, { handOff }),
      TransportError,
      `Cannot connect to ${uri}: connection refused`,
    );
    assertStringIncludes(refused.advice ?? "", "Start the destination first");

    using directory = temporaryDirectory();
    const path = `${directory.path}/none.sock`;
    await assertRejects(
      () => connect({ kind: "unix", path }, { handOff }),
      TransportError,
      `Cannot connect to unix:${path}: no such file or directory`,
    );
  });

  Deno.test(`connect() says that a host is unknown (${handOff})`, async () => {
    await assertRejects(
      () => connect(parseUri("tcp:no-such-host.invalid:4444"), { handOff }),
      TransportError,
      "Cannot connect to tcp:no-such-host.invalid:4444: ",
    );
  });

  Deno.test({
    name: `connect() can be given up by signal and by time (${handOff})`,
    // Deno.connect cannot be stopped, only forgotten: its operation ends after the test.
    sanitizeOps: handOff === "descriptor",
    sanitizeResources: handOff === "descriptor",
    async fn() {
      await using full = await fullListener();
      const { uri } = full;
      const controller = new AbortController();
      const { signal } = controller;
      const connecting = connect(uri, { handOff, signal });
      controller.abort(new Error("why"));
      await assertRejects(() => connecting, CancelledError, `Connecting to ${formatUri(uri)}`);
      await assertRejects(() => connect(uri, { handOff, signal }), CancelledError);
      await assertRejects(
        () => connect(uri, { handOff, timeoutMs: 20 }),
        TransportError,
        `Connecting to ${formatUri(uri)}: nothing within 20 ms`,
      );
    },
  });

  Deno.test(`connect() works with names and IPv6, and may be called again (${handOff})`, async () => {
    for (const uri of ["tcp:localhost:0,ipv4", "tcp:[::1]:0", "tcp:localhost:0,ipv6=off"]) {
      await using listener = await listen(parseUri(uri), { handOff });
      assert(listener.uri.kind === "tcp" && listener.uri.port > 0);
      const { host, ...rest } = listener.uri;
      const target = { ...rest, host: host === "127.0.0.1" ? "localhost" : host };
      for (let i = 0; i < 3; i++) {
        const ours = await connect(target, { handOff });
        await ours.close();
        await (await listener.accept())?.close();
      }
    }
  });
}

/** A listener that accepts nothing and whose queue is full: the kernel leaves attempts unanswered. */
async function fullListener() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const uri = { kind: "tcp", host: "127.0.0.1", port: listener.addr.port } as const;
  const queued = [await connect(uri), await connect(uri)];
  return {
    uri,
    async [Symbol.asyncDispose]() {
      for (const endpoint of queued) await endpoint.close();
      listener.close();
    },
  };
}

Deno.test("connect() refuses a URI without host or port", async () => {
  await assertRejects(
    () => connect(parseUri("tcp::4444")),
    UsageError,
    '"tcp::4444" has no host to connect to',
  );
  await assertRejects(() => connect(parseUri("tcp:host:0")), UsageError, "has no port");
});

Deno.test("connect() refuses vsock unless the caller vouches for the flag", async () => {
  const error = await assertRejects(
    () => connect(parseUri("vsock:3:1234")),
    TransportError,
    "Cannot use vsock:3:1234",
  );
  assertStringIncludes(error.advice ?? "", "--unstable-vsock");
});

Deno.test("connect() loses nothing that the other side says at once", async () => {
  const server = net.createServer((socket) => void socket.end(pattern(100_000)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  for (let i = 0; i < 20; i++) {
    const endpoint = await connect({ kind: "tcp", host: "127.0.0.1", port });
    const channel = openChannel(endpoint.handOff());
    assertEquals(await readAll(channel), pattern(100_000));
    channel.close();
  }
  await new Promise((resolve) => server.close(resolve));
});

Deno.test("connect() to a file keeps what lies before the offset", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  Deno.writeFileSync(path, pattern(50));
  const endpoint = await connect({ kind: "file", path, offset: 20 });
  const channel = openChannel(endpoint.handOff());
  await channel.write(pattern(5));
  channel.close();
  assertEquals([...Deno.readFileSync(path)], [...pattern(20), ...pattern(5)]);
});

import { assertEquals, assertRejects } from "@std/assert";
import { TransportError } from "../../src/errors.ts";
import { WorkerHandle } from "../../src/threads/worker_handle.ts";
import { BridgeChannel, bridgeSpec } from "../../src/transport/bridge.ts";
import type { TlsSetup } from "../../src/transport/tls_options.ts";
import { loadCredentials } from "../../src/transport/tls_credentials.ts";
import type { FromTlsSession, TlsSessionStart } from "../../src/transport/tls_session.ts";
import { tlsTest } from "../support/certificates.ts";
import { connectedEndpoints, readAll } from "./connected.ts";
import { pattern, patternMismatch } from "./pattern.ts";
import type { Endpoint } from "../../src/transport/endpoint.ts";

const HOST = "ferry.test";

async function session(endpoint: Endpoint, setup: TlsSetup) {
  const spec = bridgeSpec(endpoint.peer);
  const secured = Promise.withResolvers<FromTlsSession>();
  const worker = await WorkerHandle.start<TlsSessionStart, never, FromTlsSession>({
    name: setup.role,
    url: new URL("../../workers/tls_session.ts", import.meta.url),
    start: {
      channel: endpoint.handOff() as TlsSessionStart["channel"],
      setup,
      ...{ inbound: spec.inbound, outbound: spec.outbound },
    },
    onMessage: secured.resolve,
  });
  return { worker, secured: secured.promise, channel: new BridgeChannel(spec) };
}

tlsTest(
  "A session says that it is secured, carries both ways, and ends with the last close",
  async (ca) => {
    const folder = await ca.folder({
      server: await ca.issue("server", { names: [`DNS:${HOST}`] }),
      client: await ca.issue("client"),
    });
    const [near, far] = await connectedEndpoints();
    const client = await session(near, await loadCredentials({ folder }, "client", HOST));
    const server = await session(far, await loadCredentials({ folder }, "server"));
    assertEquals(await Promise.all([client.secured, server.secured]), ["secured", "secured"]);
    const size = 3 << 20;
    const [got] = await Promise.all([
      readAll(server.channel),
      client.channel.write(pattern(size)).then(() => client.channel.shutdown()),
    ]);
    assertEquals([got.length, patternMismatch(got)], [size, -1]);
    await server.channel.write(pattern(10));
    await server.channel.shutdown();
    assertEquals(await readAll(client.channel), pattern(10));
    client.channel.close();
    server.channel.close();
    await Promise.all([client.worker.ended, server.worker.ended]);
  },
);

tlsTest(
  "A session that fails at its handshake says why, and one that is stopped ends",
  async (ca) => {
    const folder = await ca.folder({ server: await ca.issue("server", { names: ["DNS:x.test"] }) });
    const [near, far] = await connectedEndpoints();
    const client = await session(near, await loadCredentials({ folder }, "client", HOST));
    const server = await session(
      far,
      await loadCredentials({ folder, verifyPeer: false }, "server"),
    );
    await assertRejects(() => client.worker.ended, TransportError, "does not match the hostname");
    server.channel.close();
    await server.worker.stop();

    const [silent, waiting] = await connectedEndpoints();
    const stopped = await session(waiting, await loadCredentials({ folder }, "server"));
    await stopped.worker.stop();
    await silent.close();
  },
);

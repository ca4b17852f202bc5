/**
 * Whoever has no right certificate, at any channel of a migration and on either side of it: is refused, and
 * neither the migration nor anybody else is disturbed.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import net from "node:net";
import { createServer } from "node:tls";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { type MigrationError, TransportError } from "../../src/errors.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { formatUri } from "../../src/transport/uri.ts";
import { Pair, settings } from "../control/fixtures/pair.ts";
import { until } from "../machine/fixtures/until.ts";
import { Authority, type Issued, tlsTest } from "../support/certificates.ts";
import { closeQuietly } from "../support/sockets.ts";

const HERE = { names: ["IP:127.0.0.1"] };
const FRIEND = "C=GB,O=Ferry,CN=friend";
const EXPIRED = -1;
/** How TLS says that it does not go on. */
const ALERT = 0x15;

/** The right folder of both sides, and who has something else. */
async function people(ca: Authority, elsewhere: Authority) {
  const server = await ca.issue("server", HERE);
  return {
    folder: await ca.folder({ server, client: await ca.issue("friend") }),
    strangers: {
      anonymous: undefined,
      expired: await ca.issue("friend", { days: EXPIRED }),
      unknown: await elsewhere.issue("friend"),
      unauthorised: await ca.issue("foe"),
    } as Record<string, Issued | undefined>,
  };
}

/** Connects with a certificate or none, and stays until it is turned away. @returns What it got to read. */
async function knock(ca: Authority, port: number, issued: Issued | undefined): Promise<number> {
  let conn: Deno.Conn | undefined;
  try {
    conn = await Deno.connectTls({
      hostname: "127.0.0.1",
      port,
      caCerts: [ca.own.certificate],
      ...issued && { cert: issued.certificate, key: issued.key },
    });
    return await conn.read(new Uint8Array(1)) ?? 0;
  } catch {
    return 0;
  } finally {
    if (conn) closeQuietly(conn);
  }
}

/** The same without TLS: a stream's first bytes. */
async function knockPlainly(port: number): Promise<number> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  try {
    await conn.write(new TextEncoder().encode("QEVM\0\0\0\x03"));
    const answer = new Uint8Array(1);
    const count = await conn.read(answer) ?? 0;
    return answer[0] === ALERT ? 0 : count;
  } catch {
    return 0;
  } finally {
    closeQuietly(conn);
  }
}

const MIGRATIONS = {
  "main alone": {},
  "multifd": { multifd: true },
  "postcopy-preempt": { "postcopy-ram": true, "postcopy-preempt": true },
} as const;

for (const [which, capabilities] of Object.entries(MIGRATIONS)) {
  tlsTest(
    `A destination lets nobody else in while it waits for its channels: ${which}`,
    async (ca) => {
      await using elsewhere = await Authority.create();
      const { folder, strangers } = await people(ca, elsewhere);
      await using pair = await Pair.create({ blocks: { ram: 1024 }, vcpus: ["beat,rate=1M"] });
      const refused: string[] = [];
      const secret = { "tls-creds": folder, "multifd-channels": 4 };
      const incoming = pair.receive({
        ...settings(capabilities, { ...secret, "tls-authz": FRIEND }),
        transport: { onRefused: ({ message }) => refused.push(message) },
      });
      const uri = await incoming.listening;
      assert(uri.kind === "tcp");
      const { port } = uri;
      let over = false;
      let got = 0;
      const everybody = [
        ...Object.values(strangers).map((one) => () => knock(ca, port, one)),
        () => knockPlainly(port),
      ];
      // Each at least once before the source comes, and then again and again between its channels.
      for (const attempt of everybody) {
        got += await attempt();
      }
      await until(() => refused.length === everybody.length);
      const reasons = refused.join("\n");
      for (const why of ["ertificate", "expired", FRIEND.replace("friend", "foe"), "No TLS"]) {
        assertStringIncludes(reasons, why);
      }
      assertEquals(incoming.status, "setup");
      const knocking = everybody.map(async (attempt) => {
        while (!over) got += await attempt().catch(() => 0); // nobody listens any more
      });
      const outgoing = pair.send(formatUri(uri), {
        ...settings(capabilities, { ...secret, "max-bandwidth": 20_000_000 }),
      });
      if ("postcopy-ram" in capabilities) {
        await until(() => outgoing.status === "active");
        outgoing.startPostcopy();
      }
      await Promise.all([outgoing.completed, incoming.completed]);
      over = true;
      await Promise.all(knocking);
      assertEquals(got, 0);
      await pair.destination.stop();
      assertEquals(await verifyRam(pair.destination), undefined);
    },
  );
}

/** A server whose certificate depends on how many have come. */
async function serve(certificates: (index: number) => Issued | undefined) {
  const sockets: net.Socket[] = [];
  const raw = net.createServer((socket) => {
    socket.on("error", () => {});
    const issued = certificates(sockets.push(socket) - 1);
    if (!issued) return void socket.end("QEVM");
    const server = createServer({ cert: issued.certificate, key: issued.key });
    server.on("tlsClientError", () => {});
    server.on("secureConnection", (secured) => secured.on("error", () => {}).resume());
    server.emit("connection", socket);
  });
  await new Promise<void>((resolve) => raw.listen(0, "127.0.0.1", () => resolve()));
  return {
    port: (raw.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => raw.close(resolve));
    },
  };
}

const WRONG: Readonly<Record<string, string>> = {
  expired: "expired",
  elsewhere: "does not match the hostname 127.0.0.1",
  unknown: "not trusted",
  none: "No TLS",
};

for (const [kind, why] of Object.entries(WRONG)) {
  tlsTest(
    `A source gives its machine to no destination that is wrong at any channel: ${kind}`,
    async (ca) => {
      await using stranger = await Authority.create();
      const { folder } = await people(ca, stranger);
      const good = await ca.issue("server", HERE);
      const wrong = {
        expired: await ca.issue("server", { ...HERE, days: EXPIRED }),
        elsewhere: await ca.issue("server", { names: ["DNS:elsewhere.test"] }),
        unknown: await stranger.issue("server", HERE),
      }[kind];
      for (const first of [0, 1, 2]) {
        await using server = await serve((index) => index < first ? good : wrong);
        await using pair = await Pair.create();
        const outgoing = pair.send(
          `tcp:127.0.0.1:${server.port}`,
          settings({ multifd: true }, { "tls-creds": folder, "multifd-channels": 2 }),
        );
        const error = await assertRejects(() => outgoing.completed, TransportError);
        assertStringIncludes((error as MigrationError).message, why);
        assertEquals([outgoing.status, pair.source.runState], ["failed", "running"]);
      }
    },
  );
}

tlsTest("A source does not open its preempt channel to somebody else", async (ca) => {
  await using stranger = await Authority.create();
  const { folder } = await people(ca, stranger);
  const other = await stranger.folder({
    server: await stranger.issue("server", HERE),
    client: await stranger.issue("friend"),
  });
  await using pair = await Pair.create({ blocks: { ram: 1024 }, vcpus: ["beat,rate=1M"] });
  const capabilities = { "postcopy-ram": true, "postcopy-preempt": true };
  const destination = new MigrationControl({ target: () => new MachineTarget(pair.destination) });
  destination.setCapabilities(capabilities);
  destination.setParameters({ "tls-creds": folder });
  const incoming = destination.migrateIncoming("tcp:127.0.0.1:0");
  const outgoing = pair.send(formatUri(await incoming.listening), {
    ...settings(capabilities, { "tls-creds": folder, "max-bandwidth": 100_000 }),
  });
  await until(() => incoming.status === "active" && outgoing.status === "active");
  destination.setParameters({ "tls-creds": other });
  outgoing.startPostcopy();
  const error = await assertRejects(() => outgoing.completed, TransportError);
  assertStringIncludes(error.message, "not trusted");
  await assertRejects(() => incoming.completed);
  assertEquals([outgoing.status, pair.source.runState], ["failed", "running"]);
  await destination.cleanedUp();
});

/**
 * Machines that move over TLS, and sources and destinations that do not suit each other.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ParameterChanges } from "../../src/control/parameters.ts";
import { MigrationError, SettingError, TransportError } from "../../src/errors.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { Authority, tlsTest } from "../support/certificates.ts";
import { contentOf, Pair, settings } from "./fixtures/pair.ts";

async function folderOf(ca: Authority, names = ["IP:127.0.0.1"]): Promise<string> {
  return await ca.folder({
    server: await ca.issue("server", { names }),
    client: await ca.issue("client"),
  });
}

tlsTest(
  "A machine moves over TLS, with and without a return path, one channel or more",
  async (ca) => {
    const folder = await folderOf(ca);
    for (
      const [returnPath, channels, handOff] of [
        [true, 0, "descriptor"],
        [false, 0, "descriptor"],
        [true, 3, "descriptor"],
        [false, 2, "descriptor"],
        [true, 2, "bridge"],
      ] as const
    ) {
      await using pair = await Pair.create({ blocks: { ram: 2048, rom: 16 } });
      const both = settings(
        { multifd: channels > 0, "return-path": returnPath },
        { "tls-creds": folder, ...channels > 0 && { "multifd-channels": channels } },
      );
      const transport = { handOff };
      const incoming = pair.receive({ ...both, transport });
      const outgoing = pair.send(formatUri(await incoming.listening), { ...both, transport });
      const [here, there] = await Promise.all([outgoing.completed, incoming.completed]);
      assertEquals([here.status, there.status], ["completed", "completed"]);
      for (const name of ["ram", "rom"]) {
        assertEquals(contentOf(pair.destination, name), contentOf(pair.source, name));
      }
      assert(pair.destination.running && !pair.source.running);
    }
  },
);

tlsTest("A machine whose guest writes moves over TLS; every page is right", async (ca) => {
  await using pair = await Pair.create({ blocks: { ram: 2048 }, vcpus: ["beat,rate=20M"] });
  const both = settings({ multifd: true }, { "tls-creds": await folderOf(ca) });
  const incoming = pair.receive(both);
  await pair.send(formatUri(await incoming.listening), both).completed;
  await incoming.completed;
  await pair.destination.stop();
  assertEquals(await verifyRam(pair.source), undefined);
  assertEquals(await verifyRam(pair.destination), undefined);
});

interface Misfit {
  readonly source: ParameterChanges;
  readonly destination: ParameterChanges;
  /** What the source says. */
  readonly says: RegExp;
  /** What the destination says of it; `undefined` if to it it was a source that came and went. */
  readonly refuses?: RegExp;
  /** Whether the destination waits on: whoever is nobody does not end its waiting. @default {true} */
  readonly waits?: boolean;
}

tlsTest("Who does not suit the other gets no machine, and loses none", async (ca) => {
  const good = await folderOf(ca);
  const elsewhere = await folderOf(ca, ["DNS:elsewhere.test"]);
  await using stranger = await Authority.create({ subject: "/CN=stranger" });
  const foreign = await folderOf(stranger);
  const anonymous = await ca.folder({});
  const GONE = /closed|ended|reset|alert|broken/i;
  const misfits: Record<string, Misfit> = {
    "another host": {
      source: { "tls-creds": good },
      destination: { "tls-creds": elsewhere },
      says: /does not match the hostname 127.0.0.1: it is for DNS:elsewhere.test/,
      waits: false,
    },
    "another name than the one that is expected": {
      source: { "tls-creds": good, "tls-hostname": "there.test" },
      destination: { "tls-creds": good },
      says: /does not match the hostname there.test/,
      waits: false,
    },
    "an unknown authority": {
      source: { "tls-creds": foreign },
      destination: { "tls-creds": good },
      says: /authority that is not trusted/,
      refuses: /alert|ended|closed|reset/,
    },
    "no certificate": {
      source: { "tls-creds": anonymous },
      destination: { "tls-creds": good },
      says: GONE,
      refuses: /ertificate/,
    },
    "not on the list": {
      source: { "tls-creds": good },
      destination: { "tls-creds": good, "tls-authz": "C=GB,O=Ferry,CN=somebody" },
      says: GONE,
      refuses: /not authorised: C=GB,O=Ferry,CN=client/,
    },
    "plain text to TLS": {
      source: {},
      destination: { "tls-creds": good },
      says: GONE,
      refuses: /speaks no TLS/,
    },
    "TLS to plain text": {
      source: { "tls-creds": good },
      destination: {},
      says: /No TLS with/,
      waits: false,
    },
  };
  for (
    const [what, { source, destination, says, refuses, waits = true }] of Object.entries(misfits)
  ) {
    await using pair = await Pair.create();
    const refused = Promise.withResolvers<TransportError>();
    const incoming = pair.receive({
      ...settings({}, destination),
      transport: { onRefused: refused.resolve },
    });
    const uri = formatUri(await incoming.listening);
    const outgoing = pair.send(uri, settings({}, source));
    const error = await assertRejects(() => outgoing.completed, MigrationError);
    assert(says.test(error.message), `${what}: ${error.message}`);
    assert(pair.source.running, what);
    if (refuses) {
      const { message } = await refused.promise;
      assert(refuses.test(message), `${what}: ${message}`);
    }
    if (waits) {
      assertEquals(incoming.status, "setup", what);
      if (destination["tls-authz"] === undefined) {
        const again = pair.send(uri, settings({}, { "tls-creds": good }));
        await Promise.all([again.completed, incoming.completed]);
        assert(pair.destination.running, what);
        continue;
      }
      incoming.cancel();
    }
    await assertRejects(() => incoming.completed);
    assert(!pair.destination.running, what);
  }
});

tlsTest("Settings that cannot be honoured end a migration before it has begun", async (ca) => {
  await using pair = await Pair.create();
  const folder = await folderOf(ca);
  const expired = await ca.folder({
    server: await ca.issue("server", { days: -1 }),
    client: await ca.issue("client", { days: -1 }),
  });
  const send = (uri: string, parameters: ParameterChanges) =>
    pair.send(uri, settings({}, parameters)).completed;
  const tcp = "tcp:127.0.0.1:9";
  await assertRejects(() => send("unix:/x", { "tls-creds": folder }), SettingError, "name");
  await assertRejects(() => send(tcp, { "tls-creds": expired }), TransportError, "has expired");
  await assertRejects(() => send(tcp, { "tls-creds": "/nowhere" }), TransportError, "ca-cert.pem");
  assert(pair.source.running);
  const incoming = pair.receive({
    uri: parseUri("tcp:127.0.0.1:0"),
    ...settings({}, { "tls-creds": expired }),
  });
  await assertRejects(() => incoming.listening, TransportError, "has expired");
  await assertRejects(() => incoming.completed, TransportError, "has expired");
});

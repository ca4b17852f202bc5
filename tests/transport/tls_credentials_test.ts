import { assertEquals, assertRejects } from "@std/assert";
import { TransportError } from "../../src/errors.ts";
import { loadCredentials } from "../../src/transport/tls_credentials.ts";
import { Authority, tlsTest } from "../support/certificates.ts";

tlsTest("loadCredentials() takes what QEMU takes of a folder", async (ca) => {
  const [server, client] = [await ca.issue("server"), await ca.issue("client")];
  const folder = await ca.folder({ server, client, crl: await ca.revoke([]) });
  await Deno.writeTextFile(`${folder}/dh-params.pem`, "whatever");
  const asServer = await loadCredentials({ folder }, "server");
  assertEquals(asServer, {
    role: "server",
    authorities: ca.own.certificate,
    ...{ certificate: server.certificate, key: server.key },
    revoked: { pem: await Deno.readTextFile(`${folder}/ca-crl.pem`), path: `${folder}/ca-crl.pem` },
    verifyPeer: true,
  });
  const asClient = await loadCredentials({ folder }, "client", "there");
  assertEquals([asClient.certificate, asClient.hostname], [client.certificate, "there"]);
  assertEquals("revoked" in asClient, false);
  // Without a certificate a client is anonymous.
  const bare = await loadCredentials({ folder: await ca.folder({}) }, "client");
  assertEquals(bare.certificate, undefined);
});

tlsTest("loadCredentials() refuses what the other side would not accept", async (ca) => {
  const good = await ca.issue("good");
  const other = await ca.issue("other");
  await using stranger = await Authority.create({ subject: "/CN=stranger" });
  await using outdated = await Authority.create({ days: -1 });
  const folders: Record<string, Parameters<Authority["folder"]>[0]> = {
    "have no .*/server-cert.pem": {},
    "server-cert.pem: it has expired": { server: await ca.issue("expired", { days: -1 }) },
    "server-cert.pem: it is of an authority that is not trusted": {
      server: await stranger.issue("theirs"),
    },
    "server-cert.pem: it does not belong to the key": {
      server: { certificate: good.certificate, key: other.key },
    },
    "server-key.pem: it is not a key": { server: { certificate: good.certificate, key: "none" } },
    "server-cert.pem: it has no certificate": { server: { certificate: "none", key: good.key } },
    "server-cert.pem: it is malformed: A certificate older": {
      server: await ca.issue("old", { old: true }),
    },
    "ca-cert.pem: it has expired": { server: good, authority: outdated },
    "revocation list .* has no list": { server: good, crl: "none" },
  };
  for (const [why, files] of Object.entries(folders)) {
    const folder = await ca.folder(files);
    const error = await assertRejects(() => loadCredentials({ folder }, "server"), TransportError);
    assertEquals(new RegExp(why).test(error.message), true, `${why}: ${error.message}`);
  }
});

tlsTest(
  "loadCredentials() says what is missing, and why pre-shared keys are no help",
  async (ca) => {
    const folder = await Deno.makeTempDir({ dir: ca.dir });
    const missing = await assertRejects(
      () => loadCredentials({ folder }, "client"),
      TransportError,
      `have no ${folder}/ca-cert.pem`,
    );
    assertEquals(missing.advice?.includes("tls-creds-x509"), true);
    await Deno.writeTextFile(`${folder}/keys.psk`, "qemu:00112233");
    await assertRejects(
      () => loadCredentials({ folder }, "server"),
      TransportError,
      "pre-shared keys",
    );
    await Deno.mkdir(`${folder}/ca-cert.pem`);
    await assertRejects(() => loadCredentials({ folder }, "server"), TransportError, "directory");
    const large = await Deno.makeTempDir({ dir: ca.dir });
    await Deno.writeFile(`${large}/ca-cert.pem`, new Uint8Array(2 << 20));
    await assertRejects(
      () => loadCredentials({ folder: large }, "server"),
      TransportError,
      "too large",
    );
  },
);

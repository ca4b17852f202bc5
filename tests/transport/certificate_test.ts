import { assertEquals, assertThrows } from "@std/assert";
import {
  pemBlocks,
  pemBytes,
  readCertificate,
  readCertificates,
} from "../../src/transport/certificate.ts";
import { DerError } from "../../src/transport/der.ts";
import { tlsTest } from "../support/certificates.ts";

tlsTest("readCertificates() reads all of a file, with what they say", async (ca) => {
  const one = await ca.issue("one", { subject: "/C=GB/ST=London/O=Example Home/CN=laptop" });
  const [first, second, ...more] = readCertificates(
    `Somebody's\n${one.certificate}\n${ca.own.certificate}`,
  );
  assertEquals(more, []);
  assertEquals(first?.distinguishedName, "C=GB,ST=London,O=Example Home,CN=laptop");
  assertEquals([first?.isAuthority, first?.serial], [false, "10"]);
  assertEquals([second?.distinguishedName, second?.isAuthority], ["CN=Ferry's authority", true]);
  assertEquals(first?.x509.checkIssued(second!.x509), true);
  assertEquals(readCertificates("nothing"), []);
});

tlsTest("A distinguished name cannot be made to look like another", async (ca) => {
  const names = {
    "/CN=a\\,CN=admin": "CN=a\\,CN=admin",
    '/CN=x\\+y<\\"\\;': 'CN=x\\+y\\<\\"\\;',
    "/CN= padded ": "CN=\\ padded\\ ",
    "/CN=#hash": "CN=\\#hash",
    "/CN=Zoë/emailAddress=z@example.org": "CN=Zoë,EMAIL=z@example.org",
    "/DC=org/UID=7/GN=Zoë": "DC=org,UID=7,2.5.4.42=Zoë",
  };
  for (const [subject, text] of Object.entries(names)) {
    const { certificate } = await ca.issue("named", { subject });
    assertEquals(readCertificates(certificate)[0]?.distinguishedName, text);
  }
});

tlsTest("readCertificate() refuses what Deno's TLS does not parse either", async (ca) => {
  const { certificate } = await ca.issue("old", { old: true });
  assertThrows(() => readCertificates(certificate), DerError, "older than X.509 version 3");
  const der = pemBytes([...ca.own.certificate.matchAll(pemBlocks("CERTIFICATE"))][0]![1]!);
  assertThrows(() => readCertificate(der.subarray(0, 100)), DerError);
  assertThrows(() => readCertificate(new Uint8Array([...der, 0])), DerError, "follows");
  for (let at = 0; at < 40; at++) { // whatever byte of its beginning is wrong, there is no certificate of it
    const spoilt = der.slice();
    spoilt[at]! ^= 0x55;
    try {
      readCertificate(spoilt);
    } catch (error) {
      assertEquals(error instanceof Error, true);
    }
  }
});

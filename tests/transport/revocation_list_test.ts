import { assertEquals, assertThrows } from "@std/assert";
import { TransportError } from "../../src/errors.ts";
import { readCertificates } from "../../src/transport/certificate.ts";
import { chainProblem } from "../../src/transport/certificate_chain.ts";
import { readRevocationLists } from "../../src/transport/revocation_list.ts";
import { Authority, tlsTest } from "../support/certificates.ts";

tlsTest("A certificate that is on its authority's list is refused, others are not", async (ca) => {
  const [bad, good] = [await ca.issue("bad"), await ca.issue("good")];
  const authorities = readCertificates(ca.own.certificate);
  const revoked = readRevocationLists(await ca.revoke([bad]), "crl", authorities);
  const problem = (pem: string) => chainProblem(readCertificates(pem), { authorities, revoked });
  assertEquals(problem(bad.certificate), "has been revoked");
  assertEquals(problem(good.certificate), undefined);

  // The same number of another authority is another certificate.
  await using other = await Authority.create({ subject: "/CN=other" });
  const theirs = await other.issue("theirs");
  const both = [...authorities, ...readCertificates(other.own.certificate)];
  assertEquals(
    chainProblem(readCertificates(theirs.certificate), { authorities: both, revoked }),
    undefined,
  );
  // An empty list revokes nothing.
  const nothing = readRevocationLists(await other.revoke([]), "crl", both);
  assertEquals(
    chainProblem(readCertificates(bad.certificate), { authorities, revoked: nothing }),
    undefined,
  );
});

tlsTest("A list that cannot be relied on is refused", async (ca) => {
  const authorities = readCertificates(ca.own.certificate);
  const refuse = (pem: string, why: string, by = authorities, now?: number) =>
    assertThrows(() => readRevocationLists(pem, "/x/crl.pem", by, now), TransportError, why);
  const pem = await ca.revoke([]);
  refuse("", "/x/crl.pem has no list in it");
  refuse(pem.replace(/\nM/, "\nN"), "is malformed");
  refuse(pem, "out of date", authorities, Date.now() + 48 * 3_600_000);
  await using namesake = await Authority.create();
  refuse(pem, "is not signed by an authority", readCertificates(namesake.own.certificate));
  // One bit of what is signed.
  const lines = pem.trim().split("\n");
  const der = Uint8Array.fromBase64(lines.slice(1, -1).join(""));
  der[der.length - 1]! ^= 1;
  const spoilt = `-----BEGIN X509 CRL-----\n${der.toBase64()}\n-----END X509 CRL-----\n`;
  refuse(spoilt, "is not signed by an authority");
});

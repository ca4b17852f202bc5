/**
 * Whether a certificate was issued by an authority that is trusted. Deno's `node:tls` checks the same, but
 * lets a chain with a certificate that its library cannot parse pass by the names in it alone; so what it
 * has accepted is checked again, and both have to agree.
 *
 * @module
 */
import type { X509Certificate } from "node:crypto";
import type { Certificate } from "./certificate.ts";
import type { RevocationList } from "./revocation_list.ts";

/** Certificates between the peer's and an authority's: QEMU's limit is of that order too. */
const DEPTH_MAX = 8;

/** What a chain is checked against. */
export interface Trust {
  /** The authorities. */
  readonly authorities: readonly Certificate[];
  /** What they have revoked. */
  readonly revoked?: readonly RevocationList[];
}

/**
 * Checks a chain.
 * @param chain The certificate and those that lead from it to an authority, as far as they are known.
 * @param trust Who is believed.
 * @param now When, in milliseconds since 1970.
 * @returns What is wrong, as the end of a sentence that begins with whose certificate it is; `undefined` if
 * nothing is.
 */
export function chainProblem(
  chain: readonly Certificate[],
  trust: Trust,
  now = Date.now(),
): string | undefined {
  let [current] = chain;
  if (current === undefined) return "is missing";
  const passed = new Set<Certificate>();
  for (let depth = 0; depth < DEPTH_MAX; depth++) {
    const problem = dateProblem(current.x509, now);
    if (problem) return problem;
    const subject: Certificate = current;
    const issued = (by: Certificate) => by.isAuthority && isIssuedBy(subject.x509, by.x509);
    const authority = trust.authorities.find(issued);
    const issuer: Certificate | undefined = authority ??
      chain.find((each) => !passed.has(each) && each !== subject && issued(each));
    if (issuer === undefined) return "is of an authority that is not trusted";
    if (trust.revoked?.some((list) => list.revokes(subject, issuer))) return "has been revoked";
    if (authority) {
      const expired = dateProblem(authority.x509, now);
      return expired && `is of an authority whose certificate ${expired}`;
    }
    passed.add(subject);
    current = issuer;
  }
  return "is too far from an authority";
}

/** Whether a certificate is past its time, or before it. */
export function dateProblem(x509: X509Certificate, now = Date.now()): string | undefined {
  if (!(now <= Date.parse(x509.validTo))) return `has expired (${x509.validTo})`;
  if (!(now >= Date.parse(x509.validFrom))) return `is not valid yet (${x509.validFrom})`;
  return undefined;
}

function isIssuedBy(x509: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return x509.checkIssued(issuer) && x509.verify(issuer.publicKey);
  } catch {
    return false; // a key or signature of a kind that is not known here
  }
}

/**
 * Who is on the other side of a TLS connection, and whether that is right (QEMU `crypto/tlssession.c`).
 *
 * @module
 */
import { checkServerIdentity, type PeerCertificate, type TLSSocket } from "node:tls";
import { TransportError } from "../errors.ts";
import { type Certificate, readCertificate, readCertificates } from "./certificate.ts";
import { chainProblem } from "./certificate_chain.ts";
import { reasonOf } from "./os_error.ts";
import { readRevocationLists } from "./revocation_list.ts";
import { isAuthorized } from "./tls_authorization.ts";
import type { TlsSetup } from "./tls_options.ts";

/** The most certificates a peer may send. */
const CHAIN_MAX = 16;

/**
 * Checks the peer's certificate: its authority, its dates, its name or whether it is let in.
 * @param socket The connection, after its handshake.
 * @throws {TransportError} If it is not right; the message says whose certificate and what.
 */
export function checkPeer(socket: TLSSocket, setup: TlsSetup): void {
  const { role, verifyPeer } = setup;
  if (role === "server" && !verifyPeer) return;
  const peer = role === "server" ? "client" : "server";
  const refuse = (what: string, advice: string, cause?: unknown) =>
    new TransportError(`The ${peer}'s certificate ${what}`, { advice, cause });
  // Who resumes a session has shown its certificate to somebody else's satisfaction.
  if (!socket.authorized || socket.isSessionReused()) {
    throw refuse(`was not accepted: ${socket.authorizationError ?? "it was not shown"}`, RENEW);
  }
  let chain: Certificate[];
  try {
    chain = peerChain(socket.getPeerCertificate(true));
  } catch (cause) {
    throw refuse(`is not one that can be checked: ${reasonOf(cause)}`, RENEW, cause);
  }
  const authorities = readCertificates(setup.authorities);
  const revoked = setup.revoked &&
    readRevocationLists(setup.revoked.pem, setup.revoked.path, authorities);
  const problem = chainProblem(chain, { authorities, ...revoked && { revoked } });
  if (problem) throw refuse(problem, RENEW);
  if (role === "client") checkName(socket, setup.hostname ?? "", refuse);
  const { distinguishedName } = chain[0]!;
  if (setup.authorization && !isAuthorized(setup.authorization, distinguishedName)) {
    throw refuse(`is not authorised: ${distinguishedName}`, "Add it to what tls-authz allows.");
  }
}

const RENEW = "Give the peer a certificate of this side's authority.";

function checkName(
  socket: TLSSocket,
  hostname: string,
  refuse: (what: string, advice: string, cause?: unknown) => TransportError,
): void {
  const wrong = checkServerIdentity(hostname, socket.getPeerCertificate());
  if (!wrong && hostname !== "") return;
  const { subjectaltname, subject } = socket.getPeerCertificate();
  throw refuse(
    `does not match the hostname ${hostname}: it is for ${subjectaltname ?? subject?.CN}`,
    "Set tls-hostname to a name that it is for.",
    wrong,
  );
}

/** What the peer showed, from its own certificate upwards. */
function peerChain(first: PeerCertificate | Record<string, never> | null): Certificate[] {
  const chain: Certificate[] = [];
  const seen = new Set<string>();
  for (let next: Partial<PeerCertificate> | null | undefined = first; next?.raw;) {
    const key = next.raw.toString("base64");
    if (seen.has(key) || chain.length === CHAIN_MAX) break; // the last is its own issuer
    seen.add(key);
    chain.push(readCertificate(new Uint8Array(next.raw)));
    next = "issuerCertificate" in next ? next.issuerCertificate as PeerCertificate : undefined;
  }
  return chain;
}

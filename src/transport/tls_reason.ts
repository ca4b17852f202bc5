/**
 * What went wrong with TLS, in words.
 *
 * @module
 */
import { codeOf, reasonOf } from "./os_error.ts";

/** Why the peer's certificate was refused on this side, by Node's codes. */
const REFUSED: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "the peer's certificate has expired",
  CERT_NOT_YET_VALID: "the peer's certificate is not valid yet",
  CERT_REVOKED: "the peer's certificate has been revoked",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the peer's certificate is of an authority that is not trusted",
  SELF_SIGNED_CERT_IN_CHAIN: "the peer's certificate is of an authority that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT: "the peer's certificate is of an authority that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    "the peer's certificate is of an authority that is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the peer's certificate is of an authority that is not trusted",
  INVALID_PURPOSE: "the peer's certificate is not for this use",
};

/** What comes where a record of TLS should is none. */
const NO_TLS = /InvalidContentType|wrong version number/;

/** The reason, for the end of a message. @param thrown What `node:tls` threw or told. */
export function tlsReason(thrown: unknown): string {
  const told = thrown instanceof Error && "authorization" in thrown ? thrown.authorization : null;
  if (thrown instanceof Error && NO_TLS.test(thrown.message)) return "the peer speaks no TLS";
  return REFUSED[String(told)] ?? REFUSED[codeOf(thrown) ?? ""] ?? reasonOf(thrown);
}

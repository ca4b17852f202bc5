/**
 * Certificate revocation lists (RFC 5280 §5), which `node:crypto` does not read and Deno's `node:tls` does
 * not enforce. A list that cannot be checked is refused: not to know what was revoked is no answer.
 *
 * @module
 */
import { verify } from "node:crypto";
import { TransportError } from "../errors.ts";
import { type Certificate, pemBlocks, pemBytes } from "./certificate.ts";
import { DerError, DerReader, oidText, Tag } from "./der.ts";

/** What an authority has revoked. */
export interface RevocationList {
  /** Whether a certificate is on the list; those of other issuers never are. */
  revokes(certificate: Certificate, issuer: Certificate): boolean;
}

/** How a list may be signed; with the digest `node:crypto` is to use. */
const SIGNATURES: Readonly<Record<string, string | null>> = {
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
  "1.2.840.10045.4.3.2": "sha256",
  "1.2.840.10045.4.3.3": "sha384",
  "1.2.840.10045.4.3.4": "sha512",
  "1.3.101.112": null, // Ed25519
};

/**
 * Reads the lists of a PEM file.
 * @param pem The file.
 * @param path Its name, for messages.
 * @param authorities One of them has signed each list.
 * @param now When, in milliseconds since 1970.
 * @throws {TransportError} If there is none, or one is malformed, out of date or signed by somebody else.
 */
export function readRevocationLists(
  pem: string,
  path: string,
  authorities: readonly Certificate[],
  now = Date.now(),
): RevocationList[] {
  const refuse = (why: string, cause?: unknown) =>
    new TransportError(`The revocation list ${path} ${why}`, {
      ...cause === undefined ? {} : { cause },
      advice: "Get a new one from the authority, or remove it.",
    });
  const blocks = [...pem.matchAll(pemBlocks("X509 CRL"))];
  if (blocks.length === 0) throw refuse("has no list in it");
  return blocks.map((block) => {
    let list: ReadList;
    try {
      list = readList(pemBytes(block[1]!));
    } catch (cause) {
      throw refuse("is malformed", cause);
    }
    if (list.nextUpdate !== undefined && list.nextUpdate < now) throw refuse("is out of date");
    const issuer = authorities.find((each) => isSignedBy(list, each));
    if (!issuer) throw refuse("is not signed by an authority of ca-cert.pem");
    return {
      revokes: (certificate, by) =>
        list.serials.has(certificate.serial) && by.x509.raw.equals(issuer.x509.raw),
    };
  });
}

interface ReadList {
  readonly signed: Uint8Array;
  readonly algorithm: string;
  readonly signature: Uint8Array;
  readonly nextUpdate: number | undefined;
  readonly serials: ReadonlySet<string>;
}

function readList(der: Uint8Array): ReadList {
  const file = new DerReader(der);
  const outer = file.enter(Tag.SEQUENCE);
  file.end();
  const signed = outer.read(Tag.SEQUENCE);
  const algorithm = oidText(outer.enter(Tag.SEQUENCE).read(Tag.OID).bytes);
  const bits = outer.read(Tag.BIT_STRING).bytes;
  outer.end();
  if (bits[0] !== 0) throw new DerError("A signature that is not whole bytes");

  const list = new DerReader(signed.bytes);
  list.optional(Tag.INTEGER); // version
  list.read(Tag.SEQUENCE); // signature algorithm
  list.read(Tag.SEQUENCE); // issuer
  readTime(list); // this update
  const isTime = list.tag === Tag.UTC_TIME || list.tag === Tag.GENERALIZED_TIME;
  const nextUpdate = isTime ? readTime(list) : undefined;
  const serials = new Set<string>();
  const entries = list.optional(Tag.SEQUENCE);
  for (const each = new DerReader(entries?.bytes ?? new Uint8Array(0)); !each.done;) {
    serials.add(each.enter(Tag.SEQUENCE).read(Tag.INTEGER).bytes.toHex());
  }
  return { signed: signed.whole, algorithm, signature: bits.subarray(1), nextUpdate, serials };
}

function readTime(reader: DerReader): number {
  const { tag, bytes } = reader.read();
  const text = new TextDecoder().decode(bytes);
  const digits = tag === Tag.UTC_TIME
    ? `${Number(text.slice(0, 2)) < 50 ? 20 : 19}${text}`
    : tag === Tag.GENERALIZED_TIME
    ? text
    : "";
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits);
  if (!parts) throw new DerError("A time that is none");
  const [year, month, ...rest] = parts.slice(1).map(Number) as [number, number, ...number[]];
  return Date.UTC(year, month - 1, ...rest);
}

function isSignedBy(list: ReadList, authority: Certificate): boolean {
  const digest = SIGNATURES[list.algorithm];
  if (digest === undefined) return false;
  try {
    return verify(digest, list.signed, authority.x509.publicKey, list.signature);
  } catch {
    return false; // a key of another kind
  }
}

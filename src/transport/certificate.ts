/**
 * What of an X.509 certificate `node:crypto` does not say, or not so that it can be relied on: the
 * version, the bytes of its names, and its distinguished name as QEMU's authorisation lists have it.
 *
 * @module
 */
import { X509Certificate } from "node:crypto";
import { DerError, DerReader, oidText, Tag } from "./der.ts";

/** A certificate that is well formed and of version 3. */
export interface Certificate {
  /** For its key, its dates and its signature. */
  readonly x509: X509Certificate;
  /** Its serial number's bytes, in hexadecimal. */
  readonly serial: string;
  /** The subject as QEMU writes it: `C=GB,O=Example,CN=laptop`. */
  readonly distinguishedName: string;
  /** Whether it may issue others. */
  readonly isAuthority: boolean;
}

const BASIC_CONSTRAINTS = "2.5.29.19";

/** Short names of attributes; others are shown with their numbers. */
const ATTRIBUTES: Readonly<Record<string, string>> = {
  "2.5.4.3": "CN",
  "2.5.4.5": "serialNumber",
  "2.5.4.6": "C",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.9": "street",
  "2.5.4.10": "O",
  "2.5.4.11": "OU",
  "0.9.2342.19200300.100.1.1": "UID",
  "0.9.2342.19200300.100.1.25": "DC",
  "1.2.840.113549.1.9.1": "EMAIL",
};

/**
 * Reads a certificate.
 * @param der Its bytes.
 * @throws {DerError | Error} If it is malformed, or older than version 3: an older one cannot say what it is
 * for, and Deno's TLS does not check the signatures of what it cannot parse.
 */
export function readCertificate(der: Uint8Array): Certificate {
  const file = new DerReader(der);
  const outer = file.enter(Tag.SEQUENCE);
  file.end();
  const tbs = outer.enter(Tag.SEQUENCE);
  const version = tbs.optional(Tag.context(0));
  if (version === undefined) throw new DerError("A certificate older than X.509 version 3");
  const number = new DerReader(version.bytes).read(Tag.INTEGER).bytes;
  if (number.length !== 1 || number[0] !== 2) throw new DerError("A certificate not of version 3");
  const serial = tbs.read(Tag.INTEGER).bytes;
  tbs.read(Tag.SEQUENCE); // signature algorithm
  tbs.read(Tag.SEQUENCE); // issuer
  tbs.read(Tag.SEQUENCE); // validity
  const subject = tbs.read(Tag.SEQUENCE);
  tbs.read(Tag.SEQUENCE); // key
  tbs.optional(0x81); // unique identifiers, which nobody uses
  tbs.optional(0x82);
  const extensions = tbs.optional(Tag.context(3));
  tbs.end();
  return {
    x509: new X509Certificate(der as Uint8Array<ArrayBuffer>),
    serial: serial.toHex(),
    distinguishedName: distinguishedName(subject.bytes),
    isAuthority: extensions !== undefined && isAuthority(new DerReader(extensions.bytes)),
  };
}

/** Reads all certificates of a PEM file, in their order. */
export function readCertificates(pem: string): Certificate[] {
  return [...pem.matchAll(pemBlocks("CERTIFICATE"))].map((match) =>
    readCertificate(pemBytes(match[1]!))
  );
}

/** Finds blocks of that label; the first group is what is between the lines. */
export function pemBlocks(label: string): RegExp {
  return new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, "g");
}

/** The bytes of a PEM block. */
export function pemBytes(text: string): Uint8Array {
  return Uint8Array.fromBase64(text.replace(/\s+/g, ""));
}

function isAuthority(explicit: DerReader): boolean {
  const extensions = explicit.enter(Tag.SEQUENCE);
  while (!extensions.done) {
    const extension = extensions.enter(Tag.SEQUENCE);
    const name = oidText(extension.read(Tag.OID).bytes);
    extension.optional(0x01); // critical
    const value = extension.read(Tag.OCTET_STRING).bytes;
    if (name !== BASIC_CONSTRAINTS) continue;
    return new DerReader(value).enter(Tag.SEQUENCE).optional(0x01)?.bytes[0] === 0xff;
  }
  return false;
}

/** RFC 4514's escapes, but in the certificate's own order, which is GnuTLS's in QEMU. */
function distinguishedName(bytes: Uint8Array): string {
  const names: string[] = [];
  for (const rdns = new DerReader(bytes); !rdns.done;) {
    const parts: string[] = [];
    for (const rdn = rdns.enter(Tag.SET); !rdn.done;) {
      const attribute = rdn.enter(Tag.SEQUENCE);
      const oid = oidText(attribute.read(Tag.OID).bytes);
      const value = attribute.read();
      parts.push(`${ATTRIBUTES[oid] ?? oid}=${attributeText(value.tag, value.bytes, value.whole)}`);
    }
    names.push(parts.join("+"));
  }
  return names.join(",");
}

const TEXT_TAGS: readonly number[] = [Tag.UTF8_STRING, Tag.PRINTABLE_STRING, Tag.IA5_STRING];

function attributeText(tag: number, bytes: Uint8Array, whole: Uint8Array): string {
  if (!TEXT_TAGS.includes(tag)) return `#${whole.toHex()}`;
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  return text
    .replace(/[,+"\\<>;]/g, "\\$&")
    .replaceAll("\0", "\\00")
    .replace(/^[# ]/, "\\$&")
    .replace(/ $/, "\\ ");
}

/**
 * Folders of credentials as QEMU's `tls-creds-x509` has them (QEMU `crypto/tlscredsx509.c`): the same
 * names, the same files required, and the same look at what this side would present.
 *
 * | file              | client          | server   |
 * | ----------------- | --------------- | -------- |
 * | `ca-cert.pem`     | required        | required |
 * | `ca-crl.pem`      |                 | if there |
 * | `client-cert.pem` | if both are     |          |
 * | `client-key.pem`  | there           |          |
 * | `server-cert.pem` |                 | required |
 * | `server-key.pem`  |                 | required |
 * | `dh-params.pem`   | is not needed   |          |
 *
 * Folders with nothing but `keys.psk` (`tls-creds-psk`) are refused: Deno's TLS has no pre-shared keys.
 *
 * @module
 */
import { createPrivateKey } from "node:crypto";
import { TransportError } from "../errors.ts";
import { type Certificate, readCertificates } from "./certificate.ts";
import { chainProblem, dateProblem } from "./certificate_chain.ts";
import { codeOf, reasonOf } from "./os_error.ts";
import { readRevocationLists } from "./revocation_list.ts";
import type { TlsOptions, TlsSetup } from "./tls_options.ts";

/** The most a file of credentials may have, in bytes. */
const FILE_MAX = 1 << 20;

/**
 * Reads what one side needs.
 * @param options Where, and what is accepted.
 * @param role Which side.
 * @param hostname For a client, the name its server has to prove.
 * @throws {TransportError} If a file is missing or malformed, or this side's certificate is past its time,
 * does not belong to its key or is of another authority: nobody would accept it.
 */
export async function loadCredentials(
  options: TlsOptions,
  role: TlsSetup["role"],
  hostname?: string,
): Promise<TlsSetup> {
  const { folder, verifyPeer = true, farewell, authorization } = options;
  const read = (name: string) => readFile(`${folder}/${name}`);
  const ca = await read("ca-cert.pem");
  if (ca === undefined) throw await missing(folder, "ca-cert.pem");
  const authorities = certificatesOf(ca, `${folder}/ca-cert.pem`);
  for (const { x509 } of authorities) {
    const problem = dateProblem(x509);
    if (problem) throw unusable(`${folder}/ca-cert.pem`, problem);
  }
  const own = await ownCertificate(folder, role, authorities);
  const crl = role === "server" ? await read("ca-crl.pem") : undefined;
  const path = `${folder}/ca-crl.pem`;
  if (crl !== undefined) readRevocationLists(crl, path, authorities); // now, and not with a source there
  return {
    role,
    authorities: ca,
    ...own,
    ...crl === undefined ? {} : { revoked: { pem: crl, path } },
    ...farewell === undefined ? {} : { farewell },
    ...hostname === undefined ? {} : { hostname },
    verifyPeer,
    ...authorization && { authorization },
  };
}

async function ownCertificate(
  folder: string,
  role: TlsSetup["role"],
  authorities: readonly Certificate[],
): Promise<{ certificate: string; key: string } | undefined> {
  const names = [`${role}-cert.pem`, `${role}-key.pem`] as const;
  const [certificate, key] = await Promise.all(names.map((name) => readFile(`${folder}/${name}`)));
  if (certificate === undefined || key === undefined) {
    if (role === "client") return undefined; // a client without one is anonymous
    throw await missing(folder, names[certificate === undefined ? 0 : 1]);
  }
  const path = `${folder}/${names[0]}`;
  const chain = certificatesOf(certificate, path);
  const problem = chainProblem(chain, { authorities });
  if (problem) throw unusable(path, problem);
  let belongs: boolean;
  try {
    belongs = chain[0]!.x509.checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw unusable(`${folder}/${names[1]}`, "is not a key that can be used", cause);
  }
  if (!belongs) throw unusable(path, `does not belong to the key ${names[1]}`);
  return { certificate, key };
}

function certificatesOf(pem: string, path: string): Certificate[] {
  let certificates: Certificate[];
  try {
    certificates = readCertificates(pem);
  } catch (cause) {
    throw unusable(path, `is malformed: ${reasonOf(cause)}`, cause);
  }
  if (certificates.length === 0) throw unusable(path, "has no certificate in it");
  return certificates;
}

async function readFile(path: string): Promise<string | undefined> {
  try {
    using file = await Deno.open(path);
    const bytes = new Uint8Array(FILE_MAX + 1);
    let length = 0;
    for (let got; (got = await file.read(bytes.subarray(length))) !== null;) {
      length += got;
      if (length > FILE_MAX) throw unusable(path, "is too large");
    }
    return new TextDecoder().decode(bytes.subarray(0, length));
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    if (cause instanceof TransportError) throw cause;
    throw unusable(path, `cannot be read: ${reasonOf(cause)}`, cause);
  }
}

async function missing(folder: string, name: string): Promise<TransportError> {
  if (name === "ca-cert.pem" && await exists(`${folder}/keys.psk`)) {
    return new TransportError(
      `TLS with pre-shared keys (${folder}/keys.psk) is not possible: Deno's TLS has none`,
      {
        advice: "Use certificates: a folder with ca-cert.pem and what QEMU's tls-creds-x509 takes.",
      },
    );
  }
  return new TransportError(`The TLS credentials have no ${folder}/${name}`, {
    advice: "tls-creds is a folder with the files of QEMU's tls-creds-x509.",
  });
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    return codeOf(error) !== "ENOENT";
  }
}

function unusable(path: string, why: string, cause?: unknown): TransportError {
  return new TransportError(`The TLS credentials ${path}: it ${why}`, {
    ...cause === undefined ? {} : { cause },
  });
}

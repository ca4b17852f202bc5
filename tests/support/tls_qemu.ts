/**
 * QEMUs that speak TLS, with certificates made for the test.
 *
 * @module
 */
import { Authority, missingOpenssl } from "./certificates.ts";
import type { Qemu } from "./qemu.ts";
import { type QemuLab, qemuTest } from "./qemu_lab.ts";
import type { QemuVersion } from "./qemu_program.ts";

/** A name that the server's certificate is for. */
export const HOST = "qemu.test";

/** Whom the two sides trust. */
export interface Credentials {
  readonly authority: Authority;
  /** With a server's certificate for {@linkcode HOST} and 127.0.0.1, and a client's. */
  readonly folder: string;
}

async function credentials(lab: QemuLab): Promise<Credentials> {
  const authority = lab.use(await Authority.create());
  const server = await authority.issue("server", { names: [`DNS:${HOST}`, "IP:127.0.0.1"] });
  const client = await authority.issue("client");
  return { authority, folder: await authority.folder({ server, client }) };
}

/** Registers a test with QEMUs and certificates. */
export function tlsQemuTest(
  name: string,
  needs: readonly QemuVersion[],
  fn: (lab: QemuLab, credentials: Credentials) => Promise<void>,
): void {
  const missing = missingOpenssl();
  const required = Deno.env.get("FERRY_REQUIRE_OPENSSL") === "1";
  qemuTest(missing ? `${name} (skipped: ${missing})` : name, {
    needs,
    ignore: missing !== undefined && !required,
  }, async (lab) => await fn(lab, await credentials(lab)));
}

/** QEMU's credentials object, and what its parameters say of it. */
export function tlsObject(
  folder: string,
  endpoint: "client" | "server",
  verifyPeer = true,
): string[] {
  const verify = verifyPeer ? "on" : "off";
  return [
    "-object",
    `tls-creds-x509,id=tls0,dir=${folder},endpoint=${endpoint},verify-peer=${verify}`,
  ];
}

/** Turns TLS on in a QEMU that has the object. */
export async function useTls(qemu: Qemu, parameters: Record<string, string> = {}): Promise<void> {
  await qemu.setParameters({ "tls-creds": "tls0", ...parameters });
}

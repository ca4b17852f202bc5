/**
 * Certificates for both sides, for as long as the comparison runs.
 *
 * @module
 */
import { Authority, missingOpenssl } from "../../tests/support/certificates.ts";

/** A folder with a server's and a client's, in which QEMU and Ferry find what they need. */
export class Credentials implements AsyncDisposable {
  private constructor(
    private readonly authority: Authority | undefined,
    readonly folder?: string,
  ) {}

  /**
   * Makes them.
   * @param wanted Whether anybody will use them.
   * @throws {Error} If somebody will, and there is no `openssl`.
   */
  static async create(wanted: boolean): Promise<Credentials> {
    if (!wanted) return new Credentials(undefined);
    const missing = missingOpenssl();
    if (missing !== undefined) throw new Error(`No certificates for TLS: ${missing}`);
    const authority = await Authority.create();
    const server = await authority.issue("server", { names: ["IP:127.0.0.1"] });
    const client = await authority.issue("client");
    return new Credentials(authority, await authority.folder({ server, client }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.authority?.[Symbol.asyncDispose]();
  }
}

/**
 * Certificates for tests, made when they are needed with the command `openssl`.
 *
 * @module
 */

/** A certificate and its key, in PEM, and where they are. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

/** What a certificate says. */
export interface CertificateOptions {
  /** The subject as `openssl` takes it. @default {"/C=GB/O=Ferry/CN=" and the name} */
  readonly subject?: string;
  /** For what names and addresses it is, such as `DNS:localhost` or `IP:127.0.0.1`. */
  readonly names?: readonly string[];
  /** For how many days from now; less than none makes one that has expired. @default {365} */
  readonly days?: number;
  /** Whether it may issue others. @default {false} */
  readonly authority?: boolean;
  /** Whether it has no extensions, which makes it one of version 1. @default {false} */
  readonly old?: boolean;
}

/** Why there is no `openssl` here, if there is none. */
export function missingOpenssl(): string | undefined {
  try {
    const { success } = new Deno.Command("openssl", { args: ["version"], stdout: "null" })
      .outputSync();
    return success ? undefined : "openssl does not run";
  } catch {
    return "there is no openssl";
  }
}

/**
 * Registers a test that needs certificates. Where they cannot be made it is skipped and says so, or fails
 * when `FERRY_REQUIRE_OPENSSL=1`.
 * @param name What is claimed.
 * @param fn The test; it gets an authority of its own.
 */
export function tlsTest(name: string, fn: (authority: Authority) => Promise<void>): void {
  const missing = missingOpenssl();
  if (missing !== undefined && Deno.env.get("FERRY_REQUIRE_OPENSSL") !== "1") {
    Deno.test({ name: `${name} (skipped: ${missing})`, ignore: true, fn: () => {} });
    return;
  }
  Deno.test(name, async () => {
    if (missing !== undefined) throw new Error(missing);
    await using authority = await Authority.create();
    await fn(authority);
  });
}

/** An authority of its own folder. */
export class Authority implements AsyncDisposable {
  #serial = 0x10;
  readonly #revoked: string[] = [];

  private constructor(
    /** The folder, which goes with it. */
    readonly dir: string,
    /** Its own certificate. */
    readonly own: Issued,
    private readonly name: string,
  ) {}

  /**
   * Makes an authority.
   * @param options What its certificate says.
   */
  static async create(options: { days?: number; subject?: string } = {}): Promise<Authority> {
    const dir = await Deno.makeTempDir({ prefix: "ferry-tls-" });
    const name = "ca";
    const { subject = "/CN=Ferry's authority" } = options;
    const own = await request(dir, name, { ...options, subject, authority: true }, ["-key"]);
    return new Authority(dir, own, name);
  }

  /** Makes a certificate of it. @param name What its files are called. */
  async issue(name: string, options: CertificateOptions = {}): Promise<Issued> {
    const subject = options.subject ?? `/C=GB/O=Ferry/CN=${name}`;
    const serial = (this.#serial++).toString(16);
    const path = `${this.dir}/${this.name}`;
    return await request(this.dir, name, { ...options, subject }, [
      ...["-CA", `${path}-cert.pem`, "-CAkey", `${path}-key.pem`, "-set_serial", `0x${serial}`],
    ]);
  }

  /** An authority below this one. */
  async intermediate(name: string): Promise<Authority> {
    const own = await this.issue(name, { authority: true });
    const dir = await Deno.makeTempDir({ prefix: "ferry-tls-" });
    await Deno.writeTextFile(`${dir}/${name}-cert.pem`, own.certificate);
    await Deno.writeTextFile(`${dir}/${name}-key.pem`, own.key);
    return new Authority(dir, own, name);
  }

  /**
   * Makes a list of what it revoked.
   * @param issued What it has.
   * @param hours For how long it is good.
   */
  async revoke(issued: readonly Issued[], hours = 24): Promise<string> {
    const { dir, name } = this;
    const config = `${dir}/crl.conf`;
    await Deno.writeTextFile(
      config,
      `[ca]\ndefault_ca=d\n[d]\ndatabase=${dir}/index\ndefault_md=sha256\n` +
        `crlnumber=${dir}/number\n`,
    );
    await Deno.writeTextFile(`${dir}/index`, "");
    await Deno.writeTextFile(`${dir}/number`, "01\n");
    const by = ["-cert", `${dir}/${name}-cert.pem`, "-keyfile", `${dir}/${name}-key.pem`];
    for (const { certificate } of issued) {
      const path = `${dir}/revoked-${this.#revoked.length}.pem`;
      this.#revoked.push(path);
      await Deno.writeTextFile(path, certificate);
      await openssl(["ca", "-config", config, ...by, "-revoke", path]);
    }
    const out = `${dir}/crl.pem`;
    const until = hours > 0 ? ["-crlhours", String(hours)] : ["-crlsec", "1"];
    await openssl(["ca", "-config", config, ...by, "-gencrl", ...until, "-out", out]);
    return await Deno.readTextFile(out);
  }

  /**
   * Makes a folder of credentials.
   * @param files By QEMU's names; without `ca-cert.pem` it gets this authority's.
   */
  async folder(files: {
    readonly server?: Issued;
    readonly client?: Issued;
    readonly authority?: Authority;
    readonly crl?: string;
  }): Promise<string> {
    const folder = await Deno.makeTempDir({ dir: this.dir });
    const { server, client, authority = this, crl } = files;
    const contents = {
      "ca-cert.pem": authority.own.certificate,
      "ca-crl.pem": crl,
      "server-cert.pem": server?.certificate,
      "server-key.pem": server?.key,
      "client-cert.pem": client?.certificate,
      "client-key.pem": client?.key,
    };
    for (const [name, content] of Object.entries(contents)) {
      if (content !== undefined) await Deno.writeTextFile(`${folder}/${name}`, content);
    }
    return folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

async function request(
  dir: string,
  name: string,
  options: CertificateOptions & { readonly subject: string },
  signer: readonly string[],
): Promise<Issued> {
  const { subject, names = [], days = 365, authority = false, old = false } = options;
  const path = `${dir}/${name}`;
  const [key, wish, cert] = [`${path}-key.pem`, `${path}.csr`, `${path}-cert.pem`];
  await openssl([
    ...["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-utf8"],
    ...["-keyout", key, "-out", wish, "-subj", subject],
  ]);
  const extensions = [
    `basicConstraints=critical,CA:${authority ? "TRUE" : "FALSE"}`,
    ...authority ? ["keyUsage=critical,keyCertSign,cRLSign"] : [],
    ...names.length > 0 ? [`subjectAltName=${names.join(",")}`] : [],
  ];
  await Deno.writeTextFile(`${path}.ext`, extensions.join("\n") + "\n");
  await openssl([
    ...["x509", "-req", "-in", wish, "-days", String(days), "-out", cert],
    ...old ? [] : ["-extfile", `${path}.ext`],
    ...signer[0] === "-key" ? ["-signkey", key] : signer,
  ]);
  return {
    certificate: await Deno.readTextFile(cert),
    key: await Deno.readTextFile(key),
  };
}

async function openssl(args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", {
    args: [...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`openssl ${args[0]}: ${new TextDecoder().decode(stderr)}`);
}

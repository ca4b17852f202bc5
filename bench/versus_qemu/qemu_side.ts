/**
 * QEMU to QEMU: a source that holds its content in anonymous memory, as any QEMU does, because a Ferry
 * migrated it there; and a fresh destination each time.
 *
 * @module
 */
import { Qemu } from "../../tests/support/qemu.ts";
import { findQemu } from "../../tests/support/qemu_program.ts";
import { BLOCK, MACHINE } from "./ferry_settings.ts";
import { cpuSeconds, settled, warmUp } from "./host.ts";
import type { Setup, Talking } from "./process.ts";

/** The release that is compared with. */
export const VERSION = "10.0";
/** Bytes a second: more than there is. */
const UNLIMITED = 10 ** 12;
const PORT = "tcp:127.0.0.1:0";

/** One migration's figures; times in seconds. */
export interface Measured {
  /** What the source says in `query-migrate`. */
  readonly total: number;
  /** From the command to the end, as who gave the command sees it. */
  readonly wall: number;
  /** What both processes have computed. */
  readonly cpu: number;
}

/** Why there is no comparison here; `undefined` if there is. */
export function missingQemu(): string | undefined {
  const found = findQemu(VERSION);
  return typeof found === "string" ? found : undefined;
}

/** The id of a QEMU's credentials. */
const CREDENTIALS = "tls0";

/** What is known of a QEMU before it is started. */
interface Launch {
  /** Of the RAM, in bytes. */
  readonly length: number;
  /** The folder with certificates and keys, if there is one. */
  readonly credentials: string | undefined;
  /** Whether its RAM is provided before the migration. */
  readonly preallocate: boolean;
}

async function launch(name: "source" | "destination", options: Launch): Promise<Qemu> {
  const { length, credentials, preallocate } = options;
  const endpoint = name === "source" ? "client" : "server";
  const memory = `memory-backend-ram,id=${BLOCK},size=${length}` +
    (preallocate ? ",prealloc=on,prealloc-threads=2" : "");
  return await Qemu.launch({
    ...{ version: VERSION, name, machine: `${MACHINE},memory-backend=${BLOCK}`, paused: true },
    incoming: "defer",
    args: [
      ...["-m", `${length / 1024 ** 2}M`, "-object", memory, "-serial", "null"],
      ...credentials === undefined ? [] : [
        "-object",
        `tls-creds-x509,id=${CREDENTIALS},dir=${credentials},endpoint=${endpoint}`,
      ],
    ],
  });
}

async function configure(qemu: Qemu, { multifd, credentials, parameters }: Setup): Promise<void> {
  await qemu.setCapabilities({ multifd, "return-path": true });
  const tls = { "tls-creds": credentials === undefined ? "" : CREDENTIALS };
  await qemu.setParameters({ ...parameters, ...tls, "max-bandwidth": UNLIMITED });
}

/** A QEMU with content that migrates again and again. */
export class QemuSide implements AsyncDisposable {
  private constructor(
    private readonly source: Qemu,
    private readonly options: Launch,
  ) {}

  /**
   * Starts the source and has a Ferry fill it.
   * @param ferry A `ferry_source.ts` with the same RAM.
   * @param options What its destinations are.
   */
  static async start(ferry: Talking, options: Launch): Promise<QemuSide> {
    const source = await launch("source", { ...options, preallocate: false });
    const setup: Setup = { multifd: true, parameters: { "multifd-channels": 2 } };
    await configure(source, setup);
    await source.migrateIncoming(PORT);
    await ferry.ask({ do: "migrate", uri: await source.listening(), setup });
    await source.waitForStatus("completed");
    return new QemuSide(source, options);
  }

  /** Migrates once. */
  async measure(setup: Setup): Promise<Measured> {
    const { source, options } = this;
    await using destination = await launch("destination", options);
    for (const qemu of [source, destination]) await configure(qemu, setup);
    await destination.migrateIncoming(PORT);
    const uri = await destination.listening();
    // After a migration the machine is stopped for good, unless somebody says otherwise.
    await source.cont();
    if (!options.preallocate) await warmUp(options.length);
    await settled(destination.pid);
    const computed = () => cpuSeconds(source.pid) + cpuSeconds(destination.pid);
    const cpuBefore = computed();
    const before = performance.now();
    const info = await source.migrateAndWait(uri);
    const wall = performance.now() - before;
    const cpu = computed() - cpuBefore;
    await destination.waitForStatus("completed");
    return { total: Number(info["total-time"]) / 1000, wall: wall / 1000, cpu };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source[Symbol.asyncDispose]();
  }
}

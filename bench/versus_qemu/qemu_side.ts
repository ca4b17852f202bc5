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

async function launch(length: number, name: string, preallocate: boolean): Promise<Qemu> {
  const memory = `memory-backend-ram,id=${BLOCK},size=${length}` +
    (preallocate ? ",prealloc=on,prealloc-threads=2" : "");
  return await Qemu.launch({
    ...{ version: VERSION, name, machine: `${MACHINE},memory-backend=${BLOCK}`, paused: true },
    incoming: "defer",
    args: ["-m", `${length / 1024 ** 2}M`, "-object", memory, "-serial", "null"],
  });
}

async function configure(qemu: Qemu, { multifd, parameters }: Setup): Promise<void> {
  await qemu.setCapabilities({ multifd, "return-path": true });
  await qemu.setParameters({ ...parameters, "max-bandwidth": UNLIMITED });
}

/** A QEMU with content that migrates again and again. */
export class QemuSide implements AsyncDisposable {
  private constructor(
    private readonly source: Qemu,
    private readonly length: number,
    private readonly preallocate: boolean,
  ) {}

  /**
   * Starts the source and has a Ferry fill it.
   * @param length The RAM, in bytes.
   * @param ferry A `ferry_source.ts` with the same RAM.
   * @param preallocate Whether destinations provide their RAM before the migration.
   */
  static async start(length: number, ferry: Talking, preallocate: boolean): Promise<QemuSide> {
    const source = await launch(length, "source", false);
    const setup: Setup = { multifd: true, parameters: { "multifd-channels": 2 } };
    await configure(source, setup);
    await source.migrateIncoming(PORT);
    await ferry.ask({ do: "migrate", uri: await source.listening(), setup });
    await source.waitForStatus("completed");
    return new QemuSide(source, length, preallocate);
  }

  /** Migrates once. */
  async measure(setup: Setup): Promise<Measured> {
    const { source, length } = this;
    await using destination = await launch(length, "destination", this.preallocate);
    for (const qemu of [source, destination]) await configure(qemu, setup);
    await destination.migrateIncoming(PORT);
    const uri = await destination.listening();
    // After a migration the machine is stopped for good, unless somebody says otherwise.
    await source.cont();
    if (!this.preallocate) await warmUp(length);
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

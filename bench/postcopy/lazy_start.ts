/**
 * From an image to the first heartbeat of its guest in a stock QEMU: served by Ferry, by postcopy, and
 * loaded by QEMU itself.
 *
 * @module
 */
import { Child } from "../../tests/support/child.ts";
import { asQmpEvent } from "../../tests/support/qmp_events.ts";
import { parseJsonObject } from "../../tests/support/json.ts";
import { Qemu } from "../../tests/support/qemu.ts";
import { Ferry } from "../../tests/support/run_ferry.ts";
import { READY } from "../../tests/support/sweep_program.ts";
import { childrenOf, warmUp } from "../versus_qemu/host.ts";
import { bigFloppy } from "./big_guest.ts";

const VERSION = "10.0";
const MIB = 1024 ** 2;
/** How long the guest may take to fill its RAM, in milliseconds. */
const FILL_MS = 120_000;
const REPOSITORY = new URL("../../", import.meta.url).pathname;

/** Milliseconds until the first heartbeat. */
export interface LazyMeasured {
  /** From the start of `deno task migrate send`. */
  readonly fromStart: number;
  /** From its event MIGRATION with the status `setup`. */
  readonly fromSetup: number;
}

/** An image, and QEMUs that start from it. */
export class LazyStart implements AsyncDisposable {
  private constructor(private readonly dir: string, private readonly ram: number) {}

  /**
   * Runs a machine, and has Ferry save it.
   * @param ram Its RAM, in bytes.
   */
  static async start(ram: number): Promise<LazyStart> {
    const lazy = new LazyStart(await Deno.makeTempDir({ prefix: "ferry-lazy-" }), ram);
    await Deno.writeFile(lazy.#floppy, bigFloppy(ram));
    await using source = await lazy.#launch("source");
    const end = performance.now() + FILL_MS;
    while (!source.serial.text.includes(READY)) {
      if (performance.now() > end) throw new Error("The guest did not fill its RAM");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await using ferry = new Ferry(["receive", "tcp:127.0.0.1:0", "--save", lazy.#image]);
    await source.setParameters({ "max-bandwidth": 10 ** 12 });
    await source.migrate(await ferry.listening());
    await ferry.succeeded();
    return lazy;
  }

  /** The size of the image, in bytes. */
  get imageSize(): number {
    return Deno.statSync(this.#image).size;
  }

  /** Ferry serves the image. */
  async measureFerry(): Promise<LazyMeasured> {
    await warmUp(this.ram);
    await using destination = await this.#launch("destination");
    await destination.setCapabilities({ "postcopy-ram": true });
    const uri = `unix:${this.dir}/migration`;
    await destination.migrateIncoming(uri);
    const heartbeat = destination.serial.waitForHeartbeats(1).then(() => Date.now());
    heartbeat.catch(() => {});
    let setup: number | undefined;
    const before = Date.now();
    await using ferry = new Child(Deno.execPath(), [
      ...["task", "--quiet", "migrate", "send", uri, "--from", this.#image],
      ...["-c", "postcopy-ram", "--postcopy-after", "0", "--json"],
    ], {
      cwd: REPOSITORY,
      onLine: (line) => setup ??= timeOfSetup(line),
    });
    try {
      const there = await heartbeat;
      if (setup === undefined) throw new Error("Ferry did not say when it began");
      return { fromStart: there - before, fromSetup: there - setup };
    } finally {
      // Killed with `deno task`, or it would look for its destination for ever, and find the next one.
      for (const pid of childrenOf(ferry.pid)) Deno.kill(pid, "SIGKILL");
    }
  }

  /** QEMU loads the image by itself. @returns Milliseconds from the command to the first heartbeat. */
  async measureQemu(): Promise<number> {
    await warmUp(this.ram);
    await using destination = await this.#launch("destination");
    const heartbeat = destination.serial.waitForHeartbeats(1).then(() => Date.now());
    heartbeat.catch(() => {});
    const before = Date.now();
    await destination.migrateIncoming(`file:${this.#image}`);
    return await heartbeat - before;
  }

  async #launch(name: "source" | "destination"): Promise<Qemu> {
    return await Qemu.launch({
      ...{ version: VERSION, name, ram: `${this.ram / MIB}M` },
      ...(name === "destination" ? { incoming: "defer" } : {}),
      args: ["-drive", `if=floppy,format=raw,readonly=on,file=${this.#floppy}`],
    });
  }

  get #floppy(): string {
    return `${this.dir}/floppy`;
  }

  get #image(): string {
    return `${this.dir}/image`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** When the migration began, in milliseconds as `Date.now()` counts them, if a line says so. */
function timeOfSetup(line: string): number | undefined {
  const event = asQmpEvent(parseJsonObject(line));
  if (event?.event !== "MIGRATION" || event.data["status"] !== "setup") return undefined;
  const { seconds, microseconds } = parseJsonObject(line)["timestamp"] as {
    readonly seconds: number;
    readonly microseconds: number;
  };
  return seconds * 1000 + microseconds / 1000;
}

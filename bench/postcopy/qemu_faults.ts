/**
 * QEMU to QEMU: page faults as the guest at the destination sees them.
 *
 * @module
 */
import { Qemu } from "../../tests/support/qemu.ts";
import { READY } from "../../tests/support/sweep_program.ts";
import { type Background, IDLE_BANDWIDTH } from "./ferry_faults.ts";
import { type Measured, summarize, type TouchPlan } from "./touch_plan.ts";
import {
  logStart,
  placeArguments,
  ramFor,
  TICKS,
  TIME_CELL,
  touchFloppy,
} from "./touch_program.ts";

const VERSION = "10.0";
const MACHINE = "pc-i440fx-10.0";
const CAPABILITIES = { "postcopy-ram": true, "postcopy-preempt": true, "return-path": true };
/** How long the guest's clock is compared with ours, in milliseconds. */
const CALIBRATION_MS = 500;

/** A source whose guest waits for being elsewhere. */
export class QemuFaults implements AsyncDisposable {
  private constructor(
    private readonly source: Qemu,
    private readonly plan: TouchPlan,
    private readonly floppy: string,
    private readonly ticksPerMicrosecond: number,
  ) {}

  /** Starts the source and compares its guest's clock with this process's. */
  static async start(plan: TouchPlan): Promise<QemuFaults> {
    const floppy = await Deno.makeTempFile({ prefix: "ferry-touch-" });
    await Deno.writeFile(floppy, touchFloppy(plan));
    const source = await launch(plan, floppy, "source");
    while (!source.serial.text.includes(READY)) await delay(10);
    await source.setCapabilities(CAPABILITIES);
    return new QemuFaults(source, plan, floppy, await calibrate(source));
  }

  /** Migrates once. */
  async measure(background: Background): Promise<Measured> {
    const { source, plan } = this;
    await using destination = await launch(plan, this.floppy, "destination");
    await destination.setCapabilities({ ...CAPABILITIES, "postcopy-blocktime": true });
    await destination.migrateIncoming("tcp:127.0.0.1:0");
    const uri = await destination.listening();
    await source.cont();
    await source.setParameters({
      "max-bandwidth": IDLE_BANDWIDTH,
      "max-postcopy-bandwidth": background === "idle" ? IDLE_BANDWIDTH : 0,
    });
    const touched = destination.serial.waitForHeartbeats(1);
    await source.migrate(uri);
    await source.execute("migrate-start-postcopy");
    await touched;
    const log = await destination.readMemory(logStart(plan), 4 * plan.touches);
    await source.setParameters({ "max-postcopy-bandwidth": 0 });
    await source.waitForStatus("completed");
    await destination.waitForStatus("completed");
    const info = await destination.queryMigrate();
    const times = Array.from(
      new Uint32Array(log.buffer),
      (time) => time / this.ticksPerMicrosecond,
    );
    const [vcpuBlocktime] = info["postcopy-vcpu-blocktime"] as number[];
    return {
      ...summarize(times),
      blocktime: Number(info["postcopy-blocktime"]),
      vcpuBlocktime: vcpuBlocktime!,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source[Symbol.asyncDispose]();
    await Deno.remove(this.floppy);
  }
}

async function launch(plan: TouchPlan, floppy: string, name: string): Promise<Qemu> {
  const isThere = name === "destination";
  return await Qemu.launch({
    ...{ version: VERSION, name, machine: MACHINE, ram: `${ramFor(plan)}M` },
    ...(isThere ? { incoming: "defer" } : {}),
    args: [
      ...["-drive", `if=floppy,format=raw,readonly=on,file=${floppy}`],
      ...placeArguments(isThere),
    ],
  });
}

/** How many units of the guest's clock are one microsecond. */
async function calibrate(source: Qemu): Promise<number> {
  const look = async () => {
    const cell = await source.readMemory(TIME_CELL, 4);
    return { guest: new DataView(cell.buffer).getUint32(0, true), here: performance.now() };
  };
  const first = await look();
  await delay(CALIBRATION_MS);
  const second = await look();
  return ((second.guest - first.guest) >>> 0) / (second.here - first.here) / 1000;
}

/** The guest's time stamp counter, in MHz, for people. */
export function megahertz(ticksPerMicrosecond: number): number {
  return Math.round(ticksPerMicrosecond * TICKS);
}

function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

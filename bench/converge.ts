/**
 * How migrations come to an end whose guest writes faster than the connection carries, in Ferry and in a
 * real QEMU, in one run:
 *
 * - XBZRLE: what a page costs the thread that sends, in processor time, when one byte of each page changes
 *   all the time and the connection is no limit;
 * - auto-converge with QEMU's default parameters: how long it takes until the machine has moved.
 *
 * Run it with `deno run -A bench/converge.ts`.
 *
 * @module
 */
import { defaultParameters } from "../src/control/parameters.ts";
import { MachineTarget } from "../src/control/machine_target.ts";
import { MigratableMachine } from "../src/control/migratable_machine.ts";
import { IncomingMigration } from "../src/control/incoming.ts";
import { defaultCapabilities } from "../src/control/capabilities.ts";
import { GuestRam } from "../src/machine/guest_ram.ts";
import { RecordEncoder } from "../src/ram/record_encoder.ts";
import { XbzrleControl } from "../src/ram/xbzrle_control.ts";
import { formatUri, parseUri } from "../src/transport/uri.ts";
import { Qemu } from "../tests/support/qemu.ts";
import { findQemu } from "../tests/support/qemu_program.ts";
import { SweepGuest } from "../tests/support/sweep_guest.ts";

const MIB = 1024 ** 2;
const PAGE = 4096;
/** Of what is written all the time. */
const XBZRLE_RANGE = 128 * MIB;
const XBZRLE_SECONDS = 5;
const CONVERGE_RANGE = 8 * MIB;
const BANDWIDTH = 20 * MIB;
/** In its `stat` files the kernel counts a thread's time in these, in seconds. */
const TICK = 0.01;

const say = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));

/** Processor seconds of one thread of a process. */
async function taskSeconds(pid: number, task: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/task/${task}/stat`);
  const fields = text.replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK;
}

/** Processor seconds of a thread whose name begins so. */
async function threadSeconds(pid: number, begin: string): Promise<number> {
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const called = await Deno.readTextFile(`/proc/${pid}/task/${name}/comm`);
    if (called.startsWith(begin)) return await taskSeconds(pid, Number(name));
  }
  throw new Error(`Process ${pid} has no thread ${begin}`);
}

async function qemuXbzrle(): Promise<number> {
  const guest = new SweepGuest({ size: XBZRLE_RANGE, fill: 2048, paceMs: 0 });
  await using source = await Qemu.launch({
    ...{ version: "10.0", name: "source", guest },
    args: ["-name", "source,debug-threads=on"],
  });
  await source.setCapabilities({ xbzrle: true });
  await source.setParameters({
    ...{ "max-bandwidth": 10 ** 12, "downtime-limit": 0, "xbzrle-cache-size": 256 * MIB },
  });
  await source.serial.waitForHeartbeats(3);
  await source.setParameters({ "downtime-limit": 1 });
  await source.migrate("exec:cat > /dev/null");
  // Rounds without and with a still empty cache come first.
  await source.waitForEvent("MIGRATION_PASS", ({ pass }) => Number(pass) >= 4);
  const look = async () => {
    const info = await source.queryMigrate() as unknown as {
      "xbzrle-cache": Record<string, number>;
      ram: Record<string, number>;
    };
    const seconds = await threadSeconds(source.pid, "mig/src/main");
    return { pages: info["xbzrle-cache"].pages!, rounds: info.ram["dirty-sync-count"]!, seconds };
  };
  const before = await look();
  await new Promise((resolve) => setTimeout(resolve, XBZRLE_SECONDS * 1000));
  const after = await look();
  await source.execute("migrate_cancel");
  const pages = after.pages - before.pages;
  say(`  QEMU: ${pages} pages in ${after.rounds - before.rounds} rounds`);
  return (after.seconds - before.seconds) / pages * 1e6;
}

/** The whole of what the worker does with a page: claiming it, looking for zeros, encoding, the record. */
async function ferryXbzrle(): Promise<number> {
  const ram = GuestRam.create([{ name: "ram", length: XBZRLE_RANGE }]);
  const block = ram.blocks[0]!;
  const bytes = new Uint8Array(block.segments[0]!.memory.buffer);
  for (let at = 0; at < bytes.length; at += PAGE) {
    for (let i = 2; i < 2050; i++) bytes[at + i] = Math.imul(at + i, 0x9e3779b1) >>> 24;
  }
  block.untouched.fill(0, block.pageCount, false);
  const io = new WebAssembly.Memory({ initial: 40, maximum: 40, shared: true });
  const control = XbzrleControl.create(256 * MIB);
  const encoder = new RecordEncoder(ram, io, { detectZero: true, xbzrle: control.buffer });
  let seconds = 0;
  const rounds = 30;
  for (let round = 2; round < rounds + 3; round++) {
    control.round = round;
    block.dirty.fill(0, block.pageCount, true);
    for (let at = 0; at < bytes.length; at += PAGE) bytes[at]!++;
    const start = await taskSeconds(Deno.pid, Deno.pid);
    for (let page = 0; page < block.pageCount; page += 128) {
      encoder.encodeRun(block, page, 128, PAGE);
    }
    if (round > 2) seconds += await taskSeconds(Deno.pid, Deno.pid) - start;
  }
  say(`  Ferry: ${control.counter("pages")} pages in ${rounds} rounds`);
  return seconds * 1e6 / (rounds * block.pageCount);
}

async function qemuConverges(): Promise<number> {
  const guest = new SweepGuest({ size: CONVERGE_RANGE, fill: 2048, paceMs: 50 });
  await using source = await Qemu.launch({ version: "10.0", name: "source", guest });
  await using destination = await Qemu.launch({
    ...{ version: "10.0", name: "destination", guest, incoming: "tcp:127.0.0.1:0" },
  });
  await source.setCapabilities({ "auto-converge": true, "return-path": true });
  await source.setParameters({ "max-bandwidth": BANDWIDTH, "downtime-limit": 300 });
  await source.serial.waitForHeartbeats(3);
  await source.migrate(await destination.listening());
  // It takes longer than tests have patience for.
  for (;;) {
    const { status, ...info } = await source.queryMigrate();
    if (status === "completed") return Number(info["total-time"]) / 1000;
    if (status === "failed") throw new Error(`QEMU failed: ${info["error-desc"]}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function ferryConverges(): Promise<number> {
  const make = () =>
    MigratableMachine.create({
      ...{ name: "m", ram: { ram: CONVERGE_RANGE } },
      vcpus: [`beat,rate=${CONVERGE_RANGE / 0.05}`],
    });
  await using source = await make();
  await using destination = await make();
  await source.start();
  const incoming = new IncomingMigration(new MachineTarget(destination), {
    uri: parseUri("tcp:127.0.0.1:0"),
    capabilities: defaultCapabilities(),
    parameters: defaultParameters(),
  });
  const outgoing = source.migrate(formatUri(await incoming.listening), {
    capabilities: { "auto-converge": true },
    parameters: { "max-bandwidth": BANDWIDTH, "downtime-limit": 300 },
  });
  const info = await outgoing.completed;
  await incoming.completed;
  return info["total-time"]! / 1000;
}

if (import.meta.main) {
  const missing = findQemu("10.0");
  if (typeof missing === "string") {
    say(`No comparison: ${missing}`);
    Deno.exit(0);
  }
  say(`XBZRLE, one byte of each page, ${XBZRLE_RANGE / MIB} MiB:`);
  const ferry = [];
  const qemu = [];
  for (let i = 0; i < 3; i++) {
    ferry.push(await ferryXbzrle());
    qemu.push(await qemuXbzrle());
  }
  const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;
  const [f, q] = [median(ferry), median(qemu)];
  say(`  a page: Ferry ${f.toFixed(2)} µs, QEMU ${q.toFixed(2)} µs, ratio ${(f / q).toFixed(2)}`);
  say(
    `auto-converge, ${CONVERGE_RANGE / MIB} MiB written 20 times a second, ${
      BANDWIDTH / MIB
    } MiB/s:`,
  );
  const times = [await ferryConverges(), await qemuConverges()];
  say(`  moved after: Ferry ${times[0]!.toFixed(1)} s, QEMU ${times[1]!.toFixed(1)} s`);
}

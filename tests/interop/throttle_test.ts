/**
 * Guests that write more than the connection carries are held back until the migration can end.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { MachineDirtying } from "../../src/control/machine_dirtying.ts";
import { MigratableMachine } from "../../src/control/migratable_machine.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { Machine } from "../../src/machine/machine.ts";
import { describeDifference } from "../support/guest_memory.ts";
import type { JsonObject } from "../support/json.ts";
import { QemuLab, qemuTest } from "../support/qemu_lab.ts";
import type { Qemu } from "../support/qemu.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { bareNone, NoneSource } from "./none_source.ts";
import {
  ferryDestination,
  noneDestination,
  type QmpSide,
  serve,
  setCapabilities,
  untilAnswer,
} from "./qmp_sides.ts";

const MIB = 1024 ** 2;
const NEEDS = { needs: ["10.0"] } as const;
const guest = new SweepGuest({ size: 2 * MIB, fill: 1024, paceMs: 1 });
/** Far less than the guests write. */
const SLOW = { "max-bandwidth": 3_000_000, "downtime-limit": 1 };
const FAST = { "max-bandwidth": 400_000_000, "downtime-limit": 250 };

/** A Ferry whose guest writes all the time, and its RAM. */
async function busyFerry(lab: QemuLab): Promise<{ side: QmpSide; machine: Machine }> {
  const machine = lab.use(
    await Machine.create({
      ...{ name: "none", ram: { ram: 2 * MIB }, vcpus: ["beat,rate=200M"] },
    }),
  );
  const bare = lab.use(await bareNone());
  const { limiter } = lab.use(new MachineDirtying(machine));
  await machine.start();
  const control = new MigrationControl({
    source: () => new NoneSource(machine, { bare, dirtyLimit: limiter.limit }),
  });
  return { side: await serve(lab, { control, machine, dirtyLimit: limiter }), machine };
}

async function assertArrived(machine: Machine, destination: Qemu): Promise<void> {
  const ram = machine.ram.block("ram")!;
  const here = Uint8Array.from(ram.view(0, ram.length));
  const there = await destination.readMemory(0, ram.length);
  assertEquals(describeDifference(here, there, 0), undefined);
}

/** Lets the migration end, and has a look before it does. @returns What `query-migrate` said then. */
async function letItEnd(source: QmpSide, destination: QmpSide): Promise<JsonObject> {
  await source.execute("migrate-set-parameters", FAST);
  await source.events.waitForStatus("pre-switchover");
  const info = await source.execute("query-migrate") as JsonObject;
  await source.execute("migrate-continue", { state: "pre-switchover" });
  for (const side of [source, destination]) {
    await untilAnswer(side, "query-migrate", ({ status }) => status === "completed");
  }
  return info;
}

const [INITIAL, MAX] = [5, 95];

/** Migrates to where somebody listens; the source's guest has to be throttled. */
async function convergeAutomatically(source: QmpSide, destination: QmpSide, uri: string) {
  await setCapabilities(source, { "auto-converge": true, "pause-before-switchover": true });
  await source.execute("migrate-set-parameters", {
    ...SLOW,
    "cpu-throttle-initial": INITIAL,
    "cpu-throttle-increment": 25,
    "max-cpu-throttle": MAX,
  });
  await destination.execute("migrate-incoming", { uri });
  await source.execute("migrate", { uri });
  const percentage = (info: JsonObject) => Number(info["cpu-throttle-percentage"] ?? 0);
  const begun = await untilAnswer(source, "query-migrate", (info) => percentage(info) > 0);
  assert(percentage(begun) >= INITIAL, JSON.stringify(begun));
  // The first round is no measure.
  assert(Number((begun["ram"] as JsonObject)["dirty-sync-count"]) >= 2, JSON.stringify(begun));
  assert(percentage(await letItEnd(source, destination)) <= MAX);
}

qemuTest("/migration/auto_converge: QEMU 10.0 → Ferry", NEEDS, async (lab) => {
  const source = await lab.qemu("10.0", { name: "source", guest });
  await source.serial.waitForHeartbeats(1);
  await convergeAutomatically(source, await ferryDestination(lab), lab.unix());
});

qemuTest("/migration/auto_converge: Ferry → QEMU 10.0", NEEDS, async (lab) => {
  const { side, machine } = await busyFerry(lab);
  const destination = await noneDestination(lab, "2M");
  await convergeAutomatically(side, destination, lab.unix());
  await assertArrived(machine, destination);
});

qemuTest("/dirty_limit: Ferry → QEMU 10.0", NEEDS, async (lab) => {
  const limit = 1;
  const { side: source, machine } = await busyFerry(lab);
  await setCapabilities(source, { "dirty-limit": true, "pause-before-switchover": true });
  await source.execute("migrate-set-parameters", {
    ...{ ...SLOW, "x-vcpu-dirty-limit-period": 200, "vcpu-dirty-limit": limit },
  });
  const throttled = (info: JsonObject) =>
    Number(info["dirty-limit-throttle-time-per-round"] ?? 0) > 0;
  const begin = async (name: string) => {
    const destination = await noneDestination(lab, "2M");
    await destination.migrateIncoming(lab.unix(name), { "exit-on-error": false });
    source.events.skipStatuses();
    await source.execute("migrate", { uri: lab.unix(name) });
    await untilAnswer(source, "query-migrate", throttled);
    return destination;
  };
  const first = await begin("first");
  await source.execute("migrate_cancel");
  await source.events.waitForStatus("cancelled");
  await first.waitForStatus("failed");
  await untilAnswer(source, "query-migrate", (info) => !throttled(info));

  const second = await begin("second");
  const [{ "limit-rate": rate }] = await source.execute("query-vcpu-dirty-limit") as [JsonObject];
  assertEquals(rate, limit);
  const { ram } = await letItEnd(source, second);
  const threshold = FAST["max-bandwidth"] * FAST["downtime-limit"] / 1000;
  assert(Number((ram as JsonObject)["remaining"]) <= threshold, JSON.stringify(ram));
  await assertArrived(machine, second);
});

Deno.test("/migration/vcpu_dirty_limit: Ferry alone", async () => {
  await using machine = await MigratableMachine.create({
    ...{ name: "limited", ram: { ram: 256 * MIB }, vcpus: ["beat,rate=100M"] },
  });
  await machine.start();
  const { rate: dirtyRate, limiter: dirtyLimit } = machine.dirtying;
  await using lab = await QemuLab.open();
  const side = await serve(lab, { control: machine.control, machine, dirtyRate, dirtyLimit });
  const measured = async () => {
    await side.execute("calc-dirty-rate", { "calc-time": 1, mode: "page-sampling" });
    const answer = await untilAnswer(
      ...[side, "query-dirty-rate"] as const,
      ({ status }) => status === "measured",
    );
    return Number(answer["dirty-rate"]);
  };
  const inTime = async (isSo: (rate: number) => boolean) => {
    for (let tries = 20; tries > 0; tries--) if (isSo(await measured())) return true;
    return false;
  };
  const free = await measured();
  assert(free > 0);
  const quota = Math.floor(free / 2);
  const between = (free + quota) / 2;
  await side.execute("set-vcpu-dirty-limit", { "dirty-rate": quota });
  const [{ "limit-rate": rate }] = await side.execute("query-vcpu-dirty-limit") as [JsonObject];
  assertEquals(rate, quota);
  assert(await inTime((rate) => rate < between), `${free} MB/s were not limited to ${quota}`);
  await side.execute("cancel-vcpu-dirty-limit");
  assert(await inTime((rate) => rate > between), `The limit of ${quota} MB/s was not taken back`);
});

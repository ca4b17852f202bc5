import { assert, assertEquals } from "@std/assert";
import { MachineSource } from "../../src/control/machine_source.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { MigratableMachine } from "../../src/control/migratable_machine.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { Machine } from "../../src/machine/machine.ts";
import { followEvents, type QmpEvent, qmpEvent } from "../../src/qmp/events.ts";
import type { QmpTarget } from "../../src/qmp/target.ts";
import { formatUri } from "../../src/transport/uri.ts";
import { bool, vmstate } from "../../src/vmstate/mod.ts";
import { Pair, settings } from "../control/fixtures/pair.ts";
import { until } from "../machine/fixtures/until.ts";
import { smallMachine } from "./fixtures/served.ts";

/** What clients of a target are told, without the rounds, whose number depends on time. */
function namesOf(target: QmpTarget): { names: string[]; end: () => void } {
  const names: string[] = [];
  const end = followEvents(target, ({ event, data }) => {
    if (event !== "MIGRATION_PASS") {
      names.push(event === "MIGRATION" ? `${data!["status"]}` : event);
    }
  });
  return { names, end };
}

Deno.test("qmpEvent() says when: seconds and microseconds", () => {
  const before = Date.now();
  const { timestamp, event, data } = qmpEvent("STOP");
  const { seconds, microseconds } = timestamp;
  assert(Number.isInteger(seconds) && Number.isInteger(microseconds));
  assert(microseconds >= 0 && microseconds < 1_000_000);
  assert(Math.abs(seconds * 1000 + microseconds / 1000 - before) < 60_000);
  assertEquals([event, data], ["STOP", undefined]);
  assertEquals(qmpEvent("SHUTDOWN", { guest: true }).data, { guest: true });
});

Deno.test("A machine that stops and runs says so once, whoever is the reason", async () => {
  await using machine = await smallMachine(false);
  const { names, end } = namesOf({ control: machine.control, machine, quit: () => {} });
  await machine.start();
  await machine.stop();
  await machine.stop();
  await machine.start();
  await machine.stop("shutdown");
  end();
  await machine.stop("paused");
  await machine.start();
  assertEquals(names, ["RESUME", "STOP", "RESUME", "SHUTDOWN", "STOP"]);
});

Deno.test("A migration's statuses are told only with the capability events", async () => {
  for (const events of [false, true]) {
    await using pair = await Pair.create();
    const there = new MigrationControl({ target: () => new MachineTarget(pair.destination) });
    const here = new MigrationControl({ source: () => new MachineSource(pair.source) });
    here.setCapabilities({ events });
    there.setCapabilities({ events });
    const source = namesOf({ control: here, machine: pair.source, quit: () => {} });
    const destination = namesOf({ control: there, machine: pair.destination, quit: () => {} });
    const incoming = there.migrateIncoming("tcp:127.0.0.1:0");
    const outgoing = await here.migrate(formatUri(await incoming.listening));
    await Promise.all([incoming.completed, outgoing.completed]);
    assertEquals(
      source.names,
      events ? ["setup", "active", "STOP", "device", "completed"] : ["STOP"],
    );
    assertEquals(
      destination.names,
      events ? ["setup", "active", "RESUME", "completed"] : ["RESUME"],
    );
  }
});

Deno.test("That a guest is to give a device back is told whatever the capability events is", async () => {
  const instance = { held: true };
  const description = vmstate("nic", {
    fields: { held: bool() },
    devUnplugPending: (nic) => nic.held,
  });
  const devices = [{ description, instance }, { description, instance, instanceId: 3 }];
  await using machine = await MigratableMachine.create({
    ...{ name: "m", ram: { ram: 65536 }, devices },
  });
  const told: QmpEvent[] = [];
  const { control } = machine;
  const end = followEvents({ control, machine, quit: () => {} }, (event) => told.push(event));
  const outgoing = await control.migrate("exec:cat >/dev/null");
  await until(() => outgoing.status === "wait-unplug");
  assert(told.every(({ event }) => event === "UNPLUG_PRIMARY"));
  assertEquals(told.map(({ data }) => data), [{ "device-id": "nic" }, { "device-id": "nic/3" }]);
  outgoing.cancel();
  await outgoing.completed.catch(() => {});
  end();
});

Deno.test("Machines that are made by their migrations are followed from then on", async () => {
  await using pair = await Pair.create();
  const made: Machine[] = [];
  const control = new MigrationControl({
    target: () =>
      new MachineTarget(async () => {
        const machine = await Machine.create({ name: "pair", ram: { ram: 16 * 4096 } });
        made.push(machine);
        return machine;
      }),
  });
  const names: string[] = [];
  const target: QmpTarget = {
    control,
    get machine() {
      return made.at(-1);
    },
    quit: () => {},
  };
  const end = followEvents(target, ({ event }: QmpEvent) => names.push(event));
  const first = control.migrateIncoming("tcp:127.0.0.1:0");
  const paused = pair.send(formatUri(await first.listening), {
    ...settings({ "pause-before-switchover": true }),
    onEvent: (event) => {
      if (event.event === "MIGRATION" && event.data.status === "pre-switchover") paused.cancel();
    },
  });
  await Promise.allSettled([first.completed, paused.completed]);
  await control.cleanedUp();
  const incoming = control.migrateIncoming("tcp:127.0.0.1:0");
  const outgoing = pair.send(formatUri(await incoming.listening));
  await Promise.all([incoming.completed, outgoing.completed]);
  await made.at(-1)!.stop();
  assertEquals([made.length, names], [2, ["RESUME", "STOP"]]);
  end();
  for (const machine of made) await machine[Symbol.asyncDispose]();
});

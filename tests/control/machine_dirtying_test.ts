import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { MachineDirtying } from "../../src/control/machine_dirtying.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { MigratableMachine } from "../../src/control/migratable_machine.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { StateError } from "../../src/errors.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { until } from "../machine/fixtures/until.ts";
import { Pair, settings } from "./fixtures/pair.ts";

const SAMPLING = { calcTime: 50, mode: "page-sampling", samplePages: 512 } as const;

Deno.test("A migration interrupts what measures, and every page is right", async () => {
  await using pair = await Pair.create({ blocks: { ram: 1024 }, vcpus: ["beat,rate=50M"] });
  await using dirtying = new MachineDirtying(pair.source);
  dirtying.limiter.set(20);
  assertThrows(
    () => dirtying.rate.calculate({ calcTime: 50, mode: "dirty-bitmap", samplePages: 512 }),
    StateError,
    "not enabled while vCPUs have limits",
  );
  const incoming = new IncomingMigration(new MachineTarget(pair.destination), {
    uri: parseUri("tcp:127.0.0.1:0"),
    ...settings(),
  });
  const outgoing = new OutgoingMigration(dirtying.source(), {
    uri: await incoming.listening,
    ...settings(),
  });
  await outgoing.completed;
  await incoming.completed;
  await pair.destination.stop();
  assertEquals(await verifyRam(pair.destination), undefined);
  // The limit is still there; the machine is not.
  assertEquals(dirtying.limiter.query().length, 1);
  assert(!pair.source.running);
});

Deno.test("While a machine arrives its RAM is let be, also when it runs already; then all goes on", async () => {
  const options = { name: "room", ram: { heap: 1024 * 4096 }, vcpus: ["beat,rate=50M"] };
  await using here = await MigratableMachine.create(options);
  await using there = await MigratableMachine.create(options);
  const { rate, limiter } = there.dirtying;
  limiter.set(20);
  rate.calculate({ ...SAMPLING, calcTime: 60_000 });
  await here.start();
  const capabilities = { "postcopy-ram": true };
  const incoming = there.incoming("tcp:127.0.0.1:0", { capabilities });
  const slow = 64 * 1024;
  const parameters = { "max-bandwidth": slow, "max-postcopy-bandwidth": slow };
  const migration = here.migrate(formatUri(await incoming.listening), { capabilities, parameters });
  await until(() => migration.status === "active");
  migration.startPostcopy();
  await until(() => there.running);
  assertEquals(incoming.status, "postcopy-active");
  // What had begun was given up.
  assertEquals(rate.query().status, "unstarted");
  for (const mode of ["page-sampling", "dirty-bitmap"] as const) {
    assertThrows(() => rate.calculate({ ...SAMPLING, mode }), StateError, "arriving");
  }
  here.control.setParameters({ "max-postcopy-bandwidth": 0 });
  await migration.completed;
  await incoming.completed;
  rate.calculate(SAMPLING);
  await rate.measured;
  assertEquals(rate.query().status, "measured");
  // The limit is kept again.
  assertThrows(() => rate.calculate({ ...SAMPLING, mode: "dirty-bitmap" }), StateError, "limits");
  limiter.cancel();
  await there.stop();
  assertEquals(await verifyRam(there), undefined);
});

Deno.test("A machine that did not arrive lets its RAM be looked at again", async () => {
  await using pair = await Pair.create();
  await using dirtying = new MachineDirtying(pair.destination);
  const control = new MigrationControl({
    target: () => new MachineTarget(pair.destination, () => dirtying),
  });
  const incoming = control.migrateIncoming("tcp:127.0.0.1:0");
  const outgoing = pair.send(formatUri(await incoming.listening), {
    ...settings({}, { "max-bandwidth": 4096 }),
  });
  await until(() => pair.destination.runState === "inmigrate");
  outgoing.cancel();
  await assertRejects(() => incoming.completed);
  await control.cleanedUp();
  dirtying.rate.calculate({ ...SAMPLING, mode: "dirty-bitmap" });
  await dirtying.rate.measured;
  assertEquals(dirtying.rate.query().status, "measured");
});

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  CancelledError,
  MigrationError,
  StateError,
  TransportError,
  UsageError,
} from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { vmstate } from "../../src/vmstate/mod.ts";
import { Events } from "./fixtures/events.ts";
import { contentOf, Pair, settings } from "./fixtures/pair.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { MachineSource } from "../../src/control/machine_source.ts";

Deno.test("OutgoingMigration moves a machine, with QMP's events and figures", async () => {
  await using pair = await Pair.create();
  const here = new Events();
  const there = new Events();
  const incoming = pair.receive({ onEvent: there.on });
  const outgoing = pair.send(formatUri(await incoming.listening), { onEvent: here.on });
  assertEquals(outgoing.status, "setup");
  assertEquals(outgoing.info(), { status: "setup" });
  const info = await outgoing.completed;
  await incoming.completed;
  assertEquals(here.statuses, "setup active STOP device completed");
  assertEquals(there.statuses, "setup active RESUME completed");
  assertEquals([pair.source.runState, pair.destination.runState], ["postmigrate", "running"]);
  assertEquals(contentOf(pair.destination, "ram"), contentOf(pair.source, "ram"));

  assertEquals(info.status, "completed");
  const { ram } = info;
  assert(ram);
  // 16 pages of which every fourth is zeros; nobody writes, so each is sent once.
  assertEquals([ram.normal, ram["normal-bytes"], ram.duplicate], [12, 12 * 4096, 4]);
  assertEquals([ram.total, ram.remaining, ram["page-size"]], [65536, 0, 4096]);
  assert(ram.transferred > 12 * 4096 && ram.transferred < 13 * 4096, `${ram.transferred}`);
  assertEquals(
    ram["precopy-bytes"] + ram["downtime-bytes"] + ram["postcopy-bytes"],
    ram.transferred,
  );
  assert(ram["dirty-sync-count"] >= 2);
  assert(info.downtime !== undefined && info["total-time"] !== undefined);
  assert(info.downtime <= info["total-time"] && info["setup-time"]! <= info["total-time"]);
});

Deno.test("OutgoingMigration moves a machine whose guest writes all the time; every page is right", async () => {
  await using pair = await Pair.create({ blocks: { ram: 2048 }, vcpus: ["beat,rate=200M"] });
  const incoming = pair.receive();
  const outgoing = pair.send(formatUri(await incoming.listening));
  await outgoing.completed;
  await incoming.completed;
  assert(pair.destination.running);
  const { steps } = pair.destination.counters;
  await pair.destination.stop();
  assertEquals(await verifyRam(pair.source), undefined);
  assertEquals(await verifyRam(pair.destination), undefined);
  assert(steps >= 0);
});

Deno.test("OutgoingMigration of a machine that is paused stays paused there, without STOP and RESUME", async () => {
  await using pair = await Pair.create();
  await pair.source.stop("paused");
  const here = new Events();
  await pair.migrate({ onEvent: here.on });
  assertEquals(here.statuses, "setup active device completed");
  assertEquals([pair.source.runState, pair.destination.runState], ["postmigrate", "paused"]);
});

Deno.test("OutgoingMigration can be followed by another, back to where the machine was", async () => {
  await using pair = await Pair.create();
  await pair.migrate();
  await using back = await Pair.create();
  const incoming = back.receive();
  const outgoing = new OutgoingMigration(new MachineSource(pair.destination), {
    uri: await incoming.listening,
    ...settings(),
  });
  await outgoing.completed;
  await incoming.completed;
  assertEquals([pair.destination.runState, back.destination.runState], ["postmigrate", "running"]);
  assertEquals(contentOf(back.destination, "ram"), contentOf(pair.source, "ram"));
});

Deno.test("OutgoingMigration to nobody fails, and the guest runs on", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  await using pair = await Pair.create();
  const here = new Events();
  const outgoing = pair.send(`tcp:127.0.0.1:${port}`, { onEvent: here.on });
  const error = await assertRejects(() => outgoing.completed, TransportError);
  assertEquals(error.place, { side: "source", phase: "setup" });
  assertEquals(here.statuses, "setup failed");
  assertEquals(outgoing.info(), { status: "failed", "error-desc": error.explanation });
  assert(pair.source.running);
  await assertRejects(() => pair.send("tcp:127.0.0.1:0").completed, UsageError);
});

Deno.test("OutgoingMigration of a machine with a device that cannot be moved fails before it connects", async () => {
  const description = vmstate("stuck", {
    unmigratable: "it holds a lock",
    fields: {},
  });
  await using machine = await Machine.create({
    name: "m",
    ram: { ram: 4096 },
    devices: [{ description, instance: {} }],
  });
  await machine.start();
  const outgoing = new OutgoingMigration(new MachineSource(machine), {
    uri: parseUri("tcp:127.0.0.1:1"),
    ...settings(),
  });
  await assertRejects(() => outgoing.completed, StateError, "it holds a lock");
  assert(machine.running);
});

Deno.test("pause-before-switchover waits with the guest stopped until it is told to go on", async () => {
  await using pair = await Pair.create();
  const incoming = pair.receive();
  const here = new Events();
  const outgoing = pair.send(formatUri(await incoming.listening), {
    ...settings({ "pause-before-switchover": true }),
    onEvent: here.on,
  });
  assertThrows(() => outgoing.continue(), StateError, "setup");
  await here.seen("pre-switchover");
  assertEquals([outgoing.status, pair.source.runState], ["pre-switchover", "finish-migrate"]);
  outgoing.continue();
  await Promise.all([outgoing.completed, incoming.completed]);
  assertEquals(here.statuses, "setup active STOP pre-switchover device completed");
  assertThrows(() => outgoing.continue(), StateError);
});

for (const moment of ["setup", "active", "pre-switchover"]) {
  Deno.test(`OutgoingMigration.cancel() in ${moment}: the guest runs on, and a second attempt works`, async () => {
    await using pair = await Pair.create({ blocks: { ram: 256 }, vcpus: ["beat"] });
    const incoming = pair.receive();
    const here = new Events();
    const outgoing = pair.send(formatUri(await incoming.listening), {
      ...settings(
        { "pause-before-switchover": moment === "pre-switchover" },
        // Slow enough to be still at it.
        moment === "active" ? { "max-bandwidth": 100_000 } : {},
      ),
      onEvent: here.on,
    });
    await here.seen(moment);
    outgoing.cancel();
    assertEquals(outgoing.status, "cancelling");
    assertThrows(() => outgoing.cancel(), StateError);
    await assertRejects(() => outgoing.completed, CancelledError);
    assertEquals(outgoing.info().status, "cancelled");
    assertThrows(() => outgoing.cancel(), StateError, "cancelled");
    assertEquals(
      here.statuses,
      moment === "pre-switchover"
        ? "setup active STOP pre-switchover cancelling RESUME cancelled"
        : `setup ${moment === "active" ? "active " : ""}cancelling cancelled`,
    );
    // One that was cancelled before it connected never came; others have failed the destination, or will.
    if (moment === "setup" && incoming.status === "setup") incoming.cancel();
    await assertRejects(() => incoming.completed, MigrationError);
    assert(pair.source.running);

    await using other = await Pair.create({ blocks: { ram: 256 }, vcpus: ["beat"] });
    const again = other.receive();
    await pair.send(formatUri(await again.listening)).completed;
    await again.completed;
    await other.destination.stop();
    assertEquals(await verifyRam(other.destination), undefined);
  });
}

Deno.test("A machine that does not want to stop ends the migration and runs on", async () => {
  await using pair = await Pair.create();
  let willing = false;
  pair.source.onRunState(({ to }) => {
    if (to === "finish-migrate" && !willing) throw new Error("In the middle of a payment");
  });
  const incoming = pair.receive();
  const outgoing = pair.send(formatUri(await incoming.listening));
  await assertRejects(() => outgoing.completed, MigrationError, "In the middle of a payment");
  await assertRejects(() => incoming.completed, MigrationError);
  assertEquals([pair.source.running, pair.destination.running], [true, false]);
  willing = true;
  await using other = await Pair.create();
  const again = other.receive();
  await pair.send(formatUri(await again.listening)).completed;
  await again.completed;
  assert(other.destination.running);
});

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ImageSource } from "../../src/control/image_source.ts";
import { MachineSource } from "../../src/control/machine_source.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import type { MigrationEvent } from "../../src/control/migration_info.ts";
import {
  CancelledError,
  ConnectionLostError,
  IncompatibleError,
  SettingError,
  StateError,
  UsageError,
} from "../../src/errors.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { formatUri } from "../../src/transport/uri.ts";
import { smallImage } from "../image/fixtures.ts";
import { until } from "../machine/fixtures/until.ts";
import { connectTo, writeAll } from "../support/sockets.ts";
import { Pair } from "./fixtures/pair.ts";

function controls(pair: Pair, arrival = { startsRunning: true }) {
  return {
    source: new MigrationControl({ source: () => new MachineSource(pair.source) }),
    destination: new MigrationControl({
      target: () => new MachineTarget(pair.destination, undefined, arrival),
    }),
  };
}

Deno.test("MigrationControl moves a machine with its settings, and tells its listeners", async () => {
  await using pair = await Pair.create();
  const { source, destination } = controls(pair);
  const events: MigrationEvent[] = [];
  const stop = source.onEvent((event) => events.push(event));
  assertEquals([source.info(), source.status], [{}, "none"]);
  destination.setCapabilities({ multifd: true });
  const incoming = destination.migrateIncoming("tcp:127.0.0.1:0");
  const uri = await incoming.listening;
  source.setParameters({ "multifd-channels": 2 });
  const outgoing = await source.migrate(uri, { capabilities: { multifd: true } });
  assertEquals(source.capabilities.multifd, false); // that was for one migration
  await Promise.all([outgoing.completed, incoming.completed]);
  assertEquals([source.status, destination.status], ["completed", "completed"]);
  assertEquals(source.info()["multifd-channels"]?.length, 2);
  assert(pair.destination.running && !pair.source.running);
  assertEquals(events.at(-1), { event: "MIGRATION", data: { status: "completed" } });
  stop();
  source.cancel(); // of what is over, nothing changes
  assertEquals(source.status, "completed");
});

Deno.test("MigrationControl allows one migration at a time, and no capabilities meanwhile", async () => {
  await using pair = await Pair.create();
  const { source, destination } = controls(pair);
  const incoming = destination.migrateIncoming("tcp:127.0.0.1:0");
  assertThrows(() => destination.migrateIncoming("tcp:127.0.0.1:0"), StateError, "in progress");
  assertThrows(() => destination.setCapabilities({ events: true }), StateError, "in progress");
  const uri = formatUri(await incoming.listening);
  source.setParameters({ "max-bandwidth": 1000 });
  const outgoing = await source.migrate(uri);
  await assertRejects(() => source.migrate(uri), StateError, "in progress");
  source.cancel();
  await assertRejects(() => outgoing.completed, CancelledError);
  destination.cancel(); // it may have been cancelled before it had connected
  await assertRejects(() => incoming.completed);
  assert(pair.source.running);
});

Deno.test("MigrationControl.setCapabilities() changes the migration that only listens, but not how one connects", async () => {
  // So much RAM is provided while the destination listens, which postcopy has to undo.
  const blocks = { ram: 64 * 256 };
  await using pair = await Pair.create({ blocks, vcpus: ["beat,rate=1M"] });
  const { source, destination } = controls(pair);
  const incoming = destination.migrateIncoming("tcp:127.0.0.1:0", {
    capabilities: { "postcopy-blocktime": true },
  });
  const uri = formatUri(await incoming.listening);
  for (const capability of ["multifd", "postcopy-preempt"]) {
    assertThrows(
      () => destination.setCapabilities({ "postcopy-ram": true, [capability]: true }),
      StateError,
      "must be set before incoming starts",
    );
  }
  assertThrows(
    () => destination.setCapabilities({ "mapped-ram": true }),
    SettingError,
    "seekable transport",
  );
  assertEquals(destination.capabilities, source.capabilities);
  for (const control of [source, destination]) control.setCapabilities({ "postcopy-ram": true });
  const parameters = { "max-bandwidth": 100_000, "max-postcopy-bandwidth": 100_000 };
  const outgoing = await source.migrate(uri, { parameters });
  await until(() => outgoing.status === "active" && incoming.status === "active");
  assertThrows(() => destination.setCapabilities({ events: true }), StateError, "in progress");
  source.startPostcopy();
  await until(() => pair.destination.running);
  assertEquals(incoming.status, "postcopy-active");
  source.setParameters({ "max-postcopy-bandwidth": 0 });
  const [, info] = await Promise.all([outgoing.completed, incoming.completed]);
  assert(info["postcopy-blocktime"] !== undefined); // what it was told at first still holds
  await pair.destination.stop();
  assertEquals(await verifyRam(pair.destination), undefined);
});

Deno.test("MigrationControl.setParameters() changes the migration that runs", async () => {
  await using pair = await Pair.create({ blocks: { ram: 256 }, vcpus: ["beat"] });
  const { source, destination } = controls(pair);
  const incoming = destination.migrateIncoming("tcp:127.0.0.1:0");
  const uri = await incoming.listening;
  const outgoing = await source.migrate(uri, { parameters: { "max-bandwidth": 1 } });
  source.setParameters({ "max-bandwidth": 0 });
  await Promise.all([outgoing.completed, incoming.completed]);
});

Deno.test("MigrationControl.setParameters() changes the migration that only listens", async () => {
  await using pair = await Pair.create();
  const { source, destination } = controls(pair);
  for (const control of [source, destination]) control.setCapabilities({ multifd: true });
  const incoming = destination.migrateIncoming("tcp:127.0.0.1:0", {
    parameters: { "multifd-compression": "zlib" },
  });
  const uri = await incoming.listening;
  // Who said nothing that makes sense has fixed nothing.
  using stranger = await connectTo(formatUri(uri));
  await writeAll(stranger, Uint8Array.of(1, 2, 3, 4));
  assertEquals(await stranger.read(new Uint8Array(1)), null);
  destination.setParameters({ "multifd-channels": 3, "multifd-compression": "zstd" });
  // What was said for this migration alone still holds.
  const parameters = { "multifd-channels": 3, "multifd-compression": "zlib" } as const;
  const outgoing = await source.migrate(uri, { parameters });
  const [, info] = await Promise.all([outgoing.completed, incoming.completed]);
  assertEquals(info["multifd-channels"]?.length, 3);
  destination.setParameters({ "tls-creds": "/nowhere" });
  await pair.destination.stop();
  assertEquals(await verifyRam(pair.destination), undefined);
});

Deno.test("MigrationControl refuses what it has nothing for", async () => {
  const control = new MigrationControl({});
  await assertRejects(() => control.migrate("tcp:127.0.0.1:1"), StateError, "no machine");
  assertThrows(() => control.migrateIncoming("tcp:127.0.0.1:0"), StateError, "no place");
  await assertRejects(() => control.migrate("nonsense"), UsageError);
  await assertRejects(
    () => control.migrate("tcp:127.0.0.1:1", { capabilities: { "x-colo": true } }),
    SettingError,
  );
  assertThrows(() => control.continue(), StateError);
  control.cancel();
});

Deno.test("MigrationControl is free again after a source that could not be opened", async () => {
  let tries = 0;
  const control = new MigrationControl({
    source: () => {
      tries++;
      throw new SettingError("No such image");
    },
  });
  for (let i = 0; i < 2; i++) {
    await assertRejects(() => control.migrate("tcp:127.0.0.1:1"), SettingError, "No such image");
  }
  assertEquals(tries, 2);
});

Deno.test("MigrationControl.addBlocker() keeps the machine here until it is taken back", async () => {
  await using pair = await Pair.create();
  const { source, destination } = controls(pair);
  const first = source.addBlocker("A backup is running");
  const second = source.addBlocker("A backup is running");
  const third = source.addBlocker("It holds a lock");
  assertEquals(source.info(), {
    "blocked-reasons": ["A backup is running", "A backup is running", "It holds a lock"],
  });
  const incoming = destination.migrateIncoming("tcp:127.0.0.1:0");
  const uri = await incoming.listening;
  await assertRejects(() => source.migrate(uri), StateError, "A backup is running");
  assertEquals(source.status, "none");
  first();
  first();
  second();
  assertEquals(source.blockedReasons, ["It holds a lock"]);
  await assertRejects(() => source.migrate(uri), StateError, "It holds a lock");
  third();
  assertEquals(source.info(), {});
  await (await source.migrate(uri)).completed;
  await incoming.completed;
  source.addBlocker("Too late for that one")();
});

Deno.test("MigrationControl.addBlocker() does not stop a migration that runs", async () => {
  await using pair = await Pair.create();
  const { source, destination } = controls(pair);
  const incoming = destination.migrateIncoming("tcp:127.0.0.1:0");
  const outgoing = await source.migrate(await incoming.listening);
  assertThrows(() => source.addBlocker("no"), StateError, "in progress");
  await Promise.all([outgoing.completed, incoming.completed]);
});

Deno.test("MigrationControl says where a destination listens, as QMP writes addresses", async () => {
  await using pair = await Pair.create();
  const { source, destination } = controls(pair);
  assertEquals([source.canSend, source.canReceive], [true, false]);
  assertEquals([destination.canSend, destination.canReceive], [false, true]);
  const incoming = destination.migrateIncoming("tcp:127.0.0.1:0");
  const uri = await incoming.listening;
  assert(uri.kind === "tcp");
  const address = { type: "inet", host: "127.0.0.1", port: `${uri.port}`, ipv4: true } as const;
  assertEquals(destination.info(), { status: "setup", "socket-address": [address] });
  const outgoing = await source.migrate(uri);
  await Promise.all([outgoing.completed, incoming.completed]);
  assertEquals(destination.info()["socket-address"], undefined);
});

Deno.test("MigrationControl begins nothing that cannot go on", async () => {
  await using pair = await Pair.create();
  const { source, destination } = controls(pair);
  const blocked = new MigrationControl({
    source: () =>
      Object.defineProperty(new MachineSource(pair.source), "blockers", {
        value: ["a device that stays"],
      }),
  });
  await assertRejects(() => blocked.migrate("tcp:h:1"), StateError, "a device that stays");
  assertEquals(blocked.info(), {});
  const multifd = { capabilities: { multifd: true } };
  await assertRejects(() => source.migrate("exec:cat", multifd), SettingError, "multi-channel");
  assertThrows(() => destination.migrateIncoming("fd:0", multifd), SettingError, "multi-channel");
  assertEquals([source.info(), destination.info()], [{}, {}]);
});

Deno.test("MigrationControl.cleanedUp() waits for what has ended, not for what runs", async () => {
  await using pair = await Pair.create();
  const { source, destination } = controls(pair);
  await source.cleanedUp();
  const incoming = destination.migrateIncoming("tcp:127.0.0.1:0");
  const uri = await incoming.listening;
  await destination.cleanedUp();
  assertEquals(destination.status, "setup");
  const outgoing = await source.migrate(uri, {
    capabilities: { "pause-before-switchover": true },
  });
  outgoing.cancel();
  source.cancel(); // as often as one likes
  destination.cancel(); // the source may not have connected
  await Promise.allSettled([outgoing.completed, incoming.completed]);
  await Promise.all([source.cleanedUp(), destination.cleanedUp()]);
  source.setCapabilities({ events: true });
});

Deno.test("MigrationControl.yank() ends a migration that hangs", async () => {
  await using pair = await Pair.create();
  const { source } = controls(pair);
  assertThrows(() => source.yank(), StateError, "There is no migration");
  using deaf = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const outgoing = await source.migrate(`tcp:127.0.0.1:${deaf.addr.port}`);
  const connection = await deaf.accept();
  source.yank();
  await assertRejects(() => outgoing.completed, ConnectionLostError, "broken by yank");
  assert(pair.source.running);
  connection.close();
});

Deno.test("MigrationControl has nothing to switch, pause or go on with where nothing runs", async () => {
  const control = new MigrationControl({});
  assertThrows(() => control.startPostcopy(), StateError, "Start the migration");
  assertThrows(() => control.pause(), StateError, "postcopy-active or postcopy-recover");
  await assertRejects(() => control.recover("tcp::0"), StateError, "when postcopy is paused");
  await assertRejects(
    () => control.migrate("tcp:h:1", { resume: true }),
    StateError,
    "no paused migration",
  );
});

Deno.test("A machine that is to be paused when it arrives is, and runs from there when it is started", async () => {
  for (const postcopy of [false, true]) {
    await using pair = await Pair.create({ vcpus: ["beat"] });
    const { source, destination } = controls(pair, { startsRunning: false });
    for (const control of [source, destination]) {
      control.setCapabilities({ "postcopy-ram": postcopy });
    }
    const incoming = destination.migrateIncoming("tcp:127.0.0.1:0");
    const outgoing = await source.migrate(await incoming.listening);
    if (postcopy) source.startPostcopy();
    await Promise.all([outgoing.completed, incoming.completed]);
    assertEquals(pair.destination.runState, "paused");
    assertEquals(pair.source.runState, "postmigrate");
    assertEquals(await verifyRam(pair.destination), undefined);
    await pair.destination.start();
    await until(() => pair.destination.counters.steps > 0);
  }
});

Deno.test("A migration that is taken up is paused until its destination is there", async () => {
  const image = smallImage();
  const control = new MigrationControl({ source: () => new ImageSource(image) });
  control.setCapabilities({ "postcopy-ram": true });
  const statuses: string[] = [];
  const paused = [3, 5].map((count) => ({ count, ...Promise.withResolvers<void>() }));
  control.onEvent((event) => {
    if (event.event !== "MIGRATION") return;
    statuses.push(event.data.status);
    for (const { count, resolve } of paused) if (statuses.length === count) resolve();
  });
  const takeUp = () => control.migrate("tcp:127.0.0.1:1", { takeUp: true });
  await assertRejects(takeUp, IncompatibleError, "are not in the image");
  assertEquals([control.status, statuses], ["none", []]);
  image.ram.block("shared")!.received.add(0);
  const outgoing = await takeUp();
  await paused[0]!.promise;
  assertEquals(statuses, ["postcopy-paused", "postcopy-recover-setup", "postcopy-paused"]);
  assertEquals(outgoing.info()["error-desc"]?.includes("refused"), true);
  assertEquals(await control.migrate("tcp:127.0.0.1:1", { resume: true }), outgoing);
  await paused[1]!.promise;
  assertEquals(statuses.slice(3), ["postcopy-recover-setup", "postcopy-paused"]);
});

/**
 * Multifd between Ferry and real QEMUs, both ways, and between Ferry and Ferry; the guest keeps writing.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { CancelledError } from "../../src/errors.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { formatUri } from "../../src/transport/uri.ts";
import { Pair, settings } from "../control/fixtures/pair.ts";
import { withPatience } from "../support/event_log.ts";
import { assertSameMemory } from "../support/guest_memory.ts";
import type { JsonObject } from "../support/json.ts";
import type { Qemu } from "../support/qemu.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import { QmpClient } from "../support/qmp_client.ts";
import { findQemu, type QemuVersion } from "../support/qemu_program.ts";
import type { Ferry } from "../support/run_ferry.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { Tap } from "../support/tap.ts";

const guest = new SweepGuest({ fill: 1024, paceMs: 5 });
const ANY_PORT = "tcp:127.0.0.1:0";

/** How a migration's channels are set up, at both ends alike. */
interface Channels {
  readonly channels: number;
  readonly compression: "none" | "zlib" | "zstd";
  readonly more?: Readonly<Record<string, string>>;
}

/** The same settings for Ferry's command line. */
function flags({ channels, compression, more = {} }: Channels): string[] {
  const parameters = {
    "multifd-channels": `${channels}`,
    "multifd-compression": compression,
    ...more,
  };
  return [
    ...["-c", "multifd"],
    ...Object.entries(parameters).flatMap(([name, value]) => ["-p", `${name}=${value}`]),
  ];
}

async function configure(qemu: Qemu, { channels, compression, more = {} }: Channels) {
  await qemu.setCapabilities({ multifd: true });
  await qemu.setParameters({
    "multifd-channels": channels,
    "multifd-compression": compression,
    ...more,
  });
}

async function startSource(lab: QemuLab, version: QemuVersion, machine?: string): Promise<Qemu> {
  const source = await lab.qemu(version, { name: "source", guest, ...machine && { machine } });
  await source.serial.waitForHeartbeats(2);
  return source;
}

async function startDestination(
  lab: QemuLab,
  version: QemuVersion,
  channels: Channels,
  machine?: string,
): Promise<{ qemu: Qemu; uri: string }> {
  const qemu = await lab.qemu(version, {
    ...{ name: "destination", guest, incoming: "defer", paused: true },
    ...machine && { machine },
  });
  await configure(qemu, channels);
  await qemu.migrateIncoming(ANY_PORT);
  return { qemu, uri: await qemu.listening() };
}

/** Checks memory on both sides, then that the guest lives at the destination. */
async function assertArrived(source: Qemu, destination: Qemu): Promise<void> {
  await source.waitForRunState("postmigrate");
  await destination.waitForRunState("paused");
  await assertSameMemory(source, destination);
  await destination.cont();
  await destination.serial.waitForHeartbeats();
  await destination.stop();
  checkSweep(guest, await destination.readMemory(guest.start, guest.size));
}

/** What the result says of the channels: that each did its share. */
function assertChannels(result: JsonObject, count: number): void {
  const channels = result["multifd-channels"] as { name: string; packets: number }[];
  assertEquals(channels.map(({ name }) => name), names(count));
  assert(channels.every(({ packets }) => packets >= 2), JSON.stringify(channels));
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `multifd ${i}`);
}

type Row = readonly [QemuVersion, QemuVersion, number, Channels["compression"], string?];
/** From which QEMU to which, channels, compression, machine type. Each row goes through Ferry. */
const ROWS: readonly Row[] = [
  ["10.0", "10.0", 2, "none"],
  ["10.0", "10.0", 1, "zlib"],
  ["10.0", "10.0", 4, "zstd"],
  ["10.0", "10.0", 16, "none"],
  ["10.0", "10.0", 2, "none", "pc-i440fx-10.0"],
  ["10.0", "10.0", 4, "zlib", "pc-i440fx-10.0"],
  ["10.0", "10.0", 16, "zstd", "pc-i440fx-10.0"],
  ["7.2", "7.2", 1, "none"],
  ["7.2", "7.2", 4, "zlib"],
  ["7.2", "7.2", 2, "zstd"],
  ["7.2", "10.0", 16, "none"],
  ["7.2", "10.0", 2, "zstd"],
  ["10.0", "7.2", 2, "zlib"],
  ["10.0", "7.2", 4, "none"],
];

for (const [from, to, count, compression, machine] of ROWS) {
  const channels = { channels: count, compression };
  const path = `/migration/multifd/tcp/${compression === "none" ? "uri/" : ""}plain/${compression}`;
  const title = `${count} channels${machine ? `, ${machine}` : ""}`;
  qemuTest(`${path}: QEMU ${from} → Ferry → QEMU ${to}, ${title}`, {
    needs: [from, to],
  }, async (lab) => {
    const source = await startSource(lab, from, machine);
    await configure(source, channels);
    const image = lab.path("image");
    const receiver = lab.ferry(["receive", ANY_PORT, "--save", image, ...flags(channels)]);
    await source.migrate(await receiver.listening());
    await source.waitForStatus("completed");
    const received = await receiver.succeeded();
    assertEquals(received["status"], "completed");
    assertChannels(received, count);

    const { qemu: destination, uri } = await startDestination(lab, to, channels, machine);
    const sender = lab.ferry(["send", "--from", image, uri, ...flags(channels)]);
    const sent = await sender.succeeded();
    assertChannels(sent, count);
    assert(Number((sent["ram"] as JsonObject)["multifd-bytes"]) > 1_000_000);
    await destination.waitForStatus("completed");
    await assertArrived(source, destination);
  });
}

/** A TCP or Unix address as QMP's `channels` have it. */
function channelsTo(uri: string): JsonObject {
  const [, kind, host, port] = /^(tcp|unix):([^:]+)(?::(\d+))?$/.exec(uri)!;
  const address = kind === "unix"
    ? { type: "unix", path: host! }
    : { type: "inet", host: host!, port: port! };
  return { channels: [{ "channel-type": "main", addr: { transport: "socket", ...address } }] };
}

qemuTest("/migration/multifd/tcp/channels/plain/none: QEMU 10.0 → Ferry → QEMU 10.0", {
  needs: ["10.0"],
}, async (lab) => {
  const channels: Channels = { channels: 16, compression: "none" };
  const source = await startSource(lab, "10.0");
  await configure(source, channels);
  const image = lab.path("image");
  const driven = async (name: string, args: readonly string[]) => {
    const ferry = lab.ferry([...args, "--qmp", lab.unix(name), ...flags(channels)], { name });
    await ferry.said("QMP on");
    return { ferry, qmp: lab.use(await QmpClient.connect(lab.unix(name))) };
  };
  const keeper = await driven("keeper", ["receive", "--save", image]);
  await keeper.qmp.execute("migrate-incoming", channelsTo(ANY_PORT));
  const there = await keeper.ferry.listening();
  await source.execute("migrate", channelsTo(there));
  await source.waitForStatus("completed");
  await keeper.ferry.waitForStatus("completed");
  await keeper.qmp.execute("quit");
  await keeper.ferry.succeeded();

  const { qemu: destination, uri } = await startDestination(lab, "10.0", channels);
  const giver = await driven("giver", ["send", "--from", image]);
  await giver.qmp.execute("migrate", channelsTo(uri));
  await giver.ferry.waitForStatus("completed");
  assertChannels(await giver.qmp.execute("query-migrate") as JsonObject, 16);
  await destination.waitForStatus("completed");
  await assertArrived(source, destination);
});

qemuTest("QEMU 10.0 → Ferry, which is told how only once it listens, as libvirt does", {
  needs: ["10.0"],
}, async (lab) => {
  const source = await startSource(lab, "10.0");
  await configure(source, { channels: 4, compression: "zstd" });
  const image = lab.path("image");
  const at = lab.unix("qmp");
  const ferry = lab.ferry(["receive", "--save", image, "--qmp", at, "-c", "multifd"]);
  await ferry.said("QMP on");
  const qmp = lab.use(await QmpClient.connect(at));
  await qmp.execute("migrate-incoming", { uri: ANY_PORT });
  const uri = await ferry.listening();
  const on = { capability: "late-block-activate", state: true };
  await qmp.execute("migrate-set-capabilities", { capabilities: [on] });
  await qmp.execute("migrate-set-parameters", {
    ...{ "multifd-channels": 4, "multifd-compression": "zstd" },
  });
  const refused = await assertRejects(
    () =>
      qmp.execute("migrate-set-capabilities", {
        capabilities: [{ capability: "multifd", state: false }],
      }),
    Error,
  );
  assert(refused.message.includes("must be set before incoming starts"), refused.message);
  await source.migrateAndWait(uri);
  await ferry.waitForStatus("completed");
  assertChannels(await qmp.execute("query-migrate") as JsonObject, 4);
  await qmp.execute("quit");
  await ferry.succeeded();
});

for (const detection of ["none", "legacy"] as const) {
  qemuTest(`/migration/multifd/tcp/plain/zero-page/${detection}: QEMU 10.0 → Ferry → QEMU 10.0`, {
    needs: ["10.0"],
  }, async (lab) => {
    const channels: Channels = {
      ...{ channels: 2, compression: "none" },
      more: { "zero-page-detection": detection },
    };
    const source = await startSource(lab, "10.0", "pc-i440fx-10.0");
    await configure(source, channels);
    const image = lab.path("image");
    const receiver = lab.ferry(["receive", ANY_PORT, "--save", image, ...flags(channels)]);
    await source.migrate(await receiver.listening());
    await source.waitForStatus("completed");
    await receiver.succeeded();
    const { qemu, uri } = await startDestination(lab, "10.0", channels, "pc-i440fx-10.0");
    await lab.ferry(["send", "--from", image, uri, ...flags(channels)]).succeeded();
    await qemu.waitForStatus("completed");
    await assertArrived(source, qemu);
  });
}

for (const version of ["10.0", "7.2"] as const) {
  qemuTest(`/migration/multifd/tcp/plain/cancel: QEMU ${version} → Ferry, then another Ferry`, {
    needs: [version],
  }, async (lab) => {
    const channels: Channels = { channels: 4, compression: "zstd" };
    const source = await startSource(lab, version);
    await configure(source, channels);
    const receive = (image: string): Ferry =>
      lab.ferry(["receive", ANY_PORT, "--save", lab.path(image), ...flags(channels)], {
        name: image,
      });
    const [first, second] = [receive("first"), receive("second")];
    const tap = lab.use(new Tap({ to: await first.listening(), record: false }));
    const uri = await second.listening();
    await source.setParameters({ "max-bandwidth": 500_000 });
    await source.migrate(tap.uri);
    await first.waitForStatus("active");
    await tap.forward(1).waitFor(5000);
    await source.execute("migrate_cancel");
    await source.waitForStatus("cancelled");
    await source.setParameters({ "max-bandwidth": 10 ** 10 });
    await source.migrate(uri);
    await source.waitForStatus("completed");
    assertEquals((await first.finished()).code, 1);
    await second.succeeded();
    assertEquals(await exists(lab.path("first")), false, "half an image was left");

    const { qemu, uri: there } = await startDestination(lab, version, channels);
    await lab.ferry(["send", "--from", lab.path("second"), there, ...flags(channels)]).succeeded();
    await qemu.waitForStatus("completed");
    await assertArrived(source, qemu);
  });

  qemuTest(`/migration/multifd/tcp/plain/cancel: Ferry → QEMU ${version}, then another QEMU`, {
    needs: [version],
  }, async (lab) => {
    const channels: Channels = { channels: 4, compression: "zlib" };
    const source = await startSource(lab, version);
    await configure(source, channels);
    const image = lab.path("image");
    const receiver = lab.ferry(["receive", ANY_PORT, "--save", image, ...flags(channels)]);
    await source.migrateAndWait(await receiver.listening());
    await receiver.succeeded();

    const first = await startDestination(lab, version, channels);
    const tap = lab.use(new Tap({ to: first.uri, record: false }));
    tap.throttle(200_000);
    const cancelled = lab.ferry(["send", "--from", image, tap.uri, ...flags(channels)]);
    await tap.forward(1).waitFor(5000);
    cancelled.kill("SIGINT");
    assertEquals((await cancelled.finished()).code, 130);
    const second = await startDestination(lab, version, channels);
    await lab.ferry(["send", "--from", image, second.uri, ...flags(channels)]).succeeded();
    await second.qemu.waitForStatus("completed");
    await assertArrived(source, second.qemu);
  });
}

/** What has come of a source when it dies, and how the destination says so. */
const DEATHS = [
  ["one of its two channels and the main one", [2], /before multifd [01] had come/],
  ["the main channel only", [1, 2], /before multifd 0, multifd 1 had come .*channel main/],
] as const;
for (const version of ["10.0", "7.2"] as const) {
  for (const [what, held, message] of DEATHS) {
    qemuTest(`A QEMU ${version} that dies when ${what} had come: Ferry fails at once`, {
      needs: [version],
    }, async (lab) => {
      const channels: Channels = { channels: 2, compression: "none" };
      const source = await startSource(lab, version);
      await configure(source, channels);
      const receiver = lab.ferry(["receive", ANY_PORT, "--discard", ...flags(channels)]);
      const tap = lab.use(new Tap({ to: await receiver.listening(), record: false }));
      for (const connection of held) tap.forward(connection).stallAfter(0);
      await source.migrate(tap.uri);
      await tap.waitForConnections(3);
      await tap.forward(0).waitFor(8);
      if (held.length === 1) await tap.forward(1).waitFor(64);
      Deno.kill(source.pid, "SIGKILL");
      const { code, stderr } = await receiver.finished();
      assertEquals(code, 1);
      assert(message.test(stderr), stderr);
    });
  }
}

const FERRY_ROWS = [[1, "none"], [2, "zlib"], [4, "zstd"], [16, "none"]] as const;
for (const [count, compression] of FERRY_ROWS) {
  Deno.test(`Multifd: Ferry to Ferry, a guest that writes all the time: ${count} channels, ${compression}`, async () => {
    await using pair = await Pair.create({ blocks: { ram: 8192 }, vcpus: ["beat,rate=200M"] });
    const told = settings({ multifd: true }, {
      "multifd-channels": count,
      "multifd-compression": compression,
    });
    const incoming = pair.receive(told);
    const outgoing = pair.send(formatUri(await incoming.listening), told);
    const [sent, received] = await Promise.all([outgoing.completed, incoming.completed]);
    assert(pair.destination.running);
    await pair.destination.stop();
    assertEquals(await verifyRam(pair.source), undefined);
    assertEquals(await verifyRam(pair.destination), undefined);
    assertEquals(sent["multifd-channels"]?.map(({ name }) => name), names(count));
    assertEquals(received["multifd-channels"]?.length, count);
    assert(sent.ram!["multifd-bytes"] > 0 && sent.ram!.mbps > 0);
  });
}

Deno.test("Multifd: Ferry cancels in the middle and migrates to another Ferry at once", async () => {
  await using pair = await Pair.create({ blocks: { ram: 8192 }, vcpus: ["beat,rate=50M"] });
  const told = settings({ multifd: true }, { "multifd-channels": 4 });
  const slow = settings({ multifd: true }, { "multifd-channels": 4, "max-bandwidth": 1_000_000 });
  const first = pair.receive(told);
  const active = Promise.withResolvers<void>();
  const cancelled = pair.send(formatUri(await first.listening), {
    ...slow,
    onEvent: (event) => {
      if (event.event === "MIGRATION" && event.data.status === "active") active.resolve();
    },
  });
  await withPatience(active.promise, "the first migration");
  cancelled.cancel();
  await assertRejects(() => cancelled.completed, CancelledError);
  await assertRejects(() => first.completed);
  assert(pair.source.running);
  const second = pair.receive(told);
  await pair.send(formatUri(await second.listening), told).completed;
  await second.completed;
  await pair.destination.stop();
  assertEquals(await verifyRam(pair.destination), undefined);
});

for (const method of ["qatzip", "qpl", "uadk"]) {
  qemuTest(`/migration/multifd/tcp/plain/${method}: refused as QEMU refuses what is not built in`, {
    needs: ["10.0"],
  }, async (lab) => {
    const qemu = await lab.qemu("10.0", { machine: "none" });
    const theirs = await assertRejects(
      () => qemu.setParameters({ "multifd-compression": method }),
      Error,
      `Parameter 'multifd-compression' does not accept value '${method}'`,
    );
    for (
      const command of [["receive", ANY_PORT, "--discard"], ["send", ANY_PORT, "--guest", "beat"]]
    ) {
      const ferry = lab.ferry([...command, "-p", `multifd-compression=${method}`]);
      const { code, stderr } = await ferry.finished();
      assertEquals(code, 2, stderr);
      // QEMU's words, and why.
      const words = `Parameter 'multifd-compression' does not accept value '${method}'`;
      assert(stderr.includes(words) && theirs.message.includes(words), stderr);
    }
  });
}

qemuTest("Multifd: the QEMUs of these tests have zstd", { needs: ["10.0", "7.2"] }, async (lab) => {
  for (const version of ["10.0", "7.2"] as const) {
    const qemu = await lab.qemu(version, { machine: "none" });
    await qemu.setParameters({ "multifd-compression": "zstd" });
    assert(typeof findQemu(version) !== "string");
  }
});

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

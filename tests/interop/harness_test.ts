/**
 * What the harness does when a QEMU misbehaves.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { assertSameMemory, digestMemory, ramRanges } from "../support/guest_memory.ts";
import { Qemu, QemuExitedError } from "../support/qemu.ts";
import { qemuTest } from "../support/qemu_lab.ts";
import { QmpCommandError } from "../support/qmp_client.ts";
import { UnexpectedStatusError } from "../support/qmp_events.ts";
import { saveStream } from "../support/save_stream.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { Tap } from "../support/tap.ts";

const needs = ["10.0"] as const;
const guest = new SweepGuest({ size: 1024 ** 2, fill: 16 });

qemuTest("Qemu.launch() says what QEMU said when it does not start", { needs }, async () => {
  await assertRejects(
    () => Qemu.launch({ version: "10.0", args: ["-device", "nonsense"] }),
    QemuExitedError,
    "'nonsense' is not a valid device model name",
  );
  await assertRejects(
    () => Qemu.launch({ version: "10.0", incoming: "unix:/nonexistent/socket" }),
    QemuExitedError,
    "/nonexistent/socket",
  );
});

qemuTest("Qemu.execute() throws QEMU's error", { needs }, async (lab) => {
  const qemu = await lab.qemu("10.0", { machine: "none" });
  const error = await assertRejects(() => qemu.migrate("nonsense:"), QmpCommandError);
  assertStringIncludes(error.message, "QMP migrate: GenericError: ");
});

qemuTest("Qemu fails what waits when the process ends", { needs }, async (lab) => {
  const qemu = await lab.qemu("10.0", { machine: "none", name: "victim" });
  const waiting = assertRejects(() => qemu.waitForEvent("STOP"), QemuExitedError, "victim ended");
  await qemu.execute("quit");
  await waiting;
  assertEquals((await qemu.exited).code, 0);
  await assertRejects(() => qemu.queryMigrate(), QemuExitedError, "victim ended with status 0");
});

qemuTest("Qemu is killed when its test fails", { needs }, async () => {
  let left: Qemu | undefined;
  await assertRejects(async () => {
    await using qemu = await Qemu.launch({ version: "10.0", machine: "none" });
    left = qemu;
    throw new TypeError("The test failed");
  }, TypeError);
  assertEquals((await left?.exited)?.signal, "SIGKILL");
});

qemuTest("Qemu.waitForStatus() gives the destination's reasons", { needs }, async (lab) => {
  const args = ["-device", "virtio-rng-pci"];
  const source = await lab.qemu("10.0", { args, name: "source" });
  const destination = await lab.qemu("10.0", { name: "destination", incoming: lab.unix() });
  await source.migrate(lab.unix());
  const error = await assertRejects(
    () => destination.waitForStatus("completed"),
    UnexpectedStatusError,
  );
  assertStringIncludes(
    error.message,
    "Unknown savevm section or instance '0000:00:02.0/virtio-rng'",
  );
  assertEquals((await destination.exited).code, 1);
  assertStringIncludes(lab.report, "destination (ended)");
  assertStringIncludes(lab.report, "setup active failed");
});

qemuTest("assertSameMemory() sees one byte that differs", { needs }, async (lab) => {
  const options = { guest, paused: true };
  const one = await lab.qemu("10.0", { ...options, name: "one" });
  const other = await lab.qemu("10.0", { ...options, name: "other" });
  await assertSameMemory(one, other);
  assertEquals(await digestMemory(one), await digestMemory(other));
  assertEquals(await ramRanges(one), [
    { start: 0, size: 0xa0000 },
    { start: 0x100000, size: 15 * 1024 ** 2 },
  ]);
  await one.cont();
  await one.serial.waitForHeartbeats(1);
  await one.stop();
  await assertRejects(() => assertSameMemory(one, other), Error, "one and other differ: ");
});

qemuTest("checkSweep() finds a page that was lost on the way", { needs }, async (lab) => {
  const source = await lab.qemu("10.0", { guest });
  await source.serial.waitForHeartbeats();
  await source.stop();
  const memory = await source.readMemory(guest.start, guest.size);
  checkSweep(guest, memory);
  await source.cont();
  await source.serial.waitForHeartbeats(5);
  await source.stop();
  const later = await source.readMemory(guest.start, guest.size);
  checkSweep(guest, later);
  const page = 17 * guest.stride;
  later.set(memory.subarray(page, page + guest.stride), page);
  await assertRejects(async () => void await checkSweep(guest, later), Error, "0x111000 counts");
});

qemuTest("saveStream() gives the whole stream, up to the end of the description", {
  needs: ["10.0", "7.2"],
}, async (lab) => {
  for (const version of ["10.0", "7.2"] as const) {
    const qemu = await lab.qemu(version, { guest, name: version });
    await qemu.serial.waitForHeartbeats();
    const stream = await saveStream(qemu, lab.dir);
    assertEquals(new TextDecoder().decode(stream.subarray(0, 4)), "QEVM");
    assertEquals(stream.at(-1), "}".charCodeAt(0));
    await Deno.writeFile(lab.path(version), stream);
    const incoming = `exec:cat ${lab.path(version)}`;
    const restored = await lab.qemu("10.0", { guest, incoming });
    await restored.waitForStatus("completed");
    await restored.cont();
    await restored.serial.waitForHeartbeats();
  }
});

qemuTest(
  "a Tap that loses the link leaves the guest running at the source",
  { needs },
  async (lab) => {
    const source = await lab.qemu("10.0", { guest, name: "source" });
    const destination = await lab.qemu("10.0", { guest, incoming: lab.unix() });
    await source.serial.waitForHeartbeats();
    const tap = lab.use(new Tap({ to: lab.unix() }));
    tap.cutAfter(500_000);
    await source.migrate(tap.uri);
    await source.waitForStatus("failed");
    assertEquals(tap.forward().passed, 500_000);
    assertEquals((await destination.exited).code, 1);
    await source.serial.waitForHeartbeats();
  },
);

qemuTest("a Tap that stalls holds the migration until it goes on", { needs }, async (lab) => {
  const source = await lab.qemu("10.0", { guest, name: "source" });
  const destination = await lab.qemu("10.0", { guest, incoming: lab.unix() });
  await source.serial.waitForHeartbeats();
  const tap = lab.use(new Tap({ to: lab.unix() }));
  tap.forward().stallAfter(300_000);
  await source.migrate(tap.uri);
  await tap.forward().waitFor(300_000);
  await source.waitForStatus("active");
  assert(destination.events.statuses.at(-1) !== "completed");
  tap.resume();
  await source.waitForStatus("completed");
  await destination.waitForStatus("completed");
  await destination.serial.waitForHeartbeats();
});

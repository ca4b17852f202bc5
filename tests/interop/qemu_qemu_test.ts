/**
 * The harness proven on QEMU itself: what Ferry will take part in works between two real QEMUs here.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { assertSameMemory } from "../support/guest_memory.ts";
import type { Qemu } from "../support/qemu.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import type { QemuVersion } from "../support/qemu_program.ts";
import { saveStream } from "../support/save_stream.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest, type SweepGuestDelivery } from "../support/sweep_guest.ts";
import { Tap } from "../support/tap.ts";

const guest = new SweepGuest({ fill: 1024, paceMs: 5 });

/** A guest that runs on `version`, its heart beating. */
async function startSource(
  lab: QemuLab,
  version: QemuVersion,
  delivery: SweepGuestDelivery = "floppy",
): Promise<Qemu> {
  const source = await lab.qemu(version, { name: "source", guest, delivery });
  await source.serial.waitForHeartbeats(2);
  return source;
}

/** Checks memory on both sides, then that the guest lives at the destination. */
async function assertArrived(source: Qemu, destination: Qemu): Promise<void> {
  await source.waitForRunState("postmigrate");
  await destination.waitForRunState("paused");
  await assertSameMemory(source, destination);
  checkSweep(guest, await destination.readMemory(guest.start, guest.size));
  await destination.cont();
  await destination.serial.waitForHeartbeats();
  await destination.stop();
  checkSweep(guest, await destination.readMemory(guest.start, guest.size));
}

for (const [from, to] of [["10.0", "10.0"], ["7.2", "10.0"], ["10.0", "7.2"]] as const) {
  for (const delivery of ["floppy", "firmware"] as const) {
    qemuTest(`QEMU ${from} to ${to}: a running guest (${delivery}) arrives whole`, {
      needs: [from, to],
    }, async (lab) => {
      const source = await startSource(lab, from, delivery);
      const destination = await lab.qemu(to, {
        ...{ name: "destination", guest, delivery, incoming: lab.unix(), paused: true },
      });
      await source.migrateAndWait(lab.unix());
      await destination.waitForStatus("completed");
      await assertArrived(source, destination);
    });
  }

  qemuTest(`QEMU ${from} to ${to}: a stopped guest goes through a file`, {
    needs: [from, to],
  }, async (lab) => {
    const source = await startSource(lab, from);
    await source.stop();
    const file = lab.path("stream");
    if (from === "7.2") await Deno.writeFile(file, await saveStream(source, lab.dir)); // has no file:
    else await source.migrateAndWait(`file:${file}`);
    const destination = await lab.qemu(to, {
      ...{ name: "destination", guest, incoming: `exec:cat ${file}` },
    });
    await destination.waitForStatus("completed");
    await assertArrived(source, destination);
  });
}

for (const [from, to] of [["7.2", "10.0"], ["10.0", "7.2"]] as const) {
  qemuTest(`QEMU ${from} to ${to}: a running guest arrives over three multifd channels`, {
    needs: [from, to],
  }, async (lab) => {
    const source = await startSource(lab, from);
    const destination = await lab.qemu(to, {
      ...{ name: "destination", guest, incoming: "defer", paused: true },
    });
    for (const qemu of [source, destination]) {
      await qemu.setCapabilities({ multifd: true });
      await qemu.setParameters({ "multifd-channels": 3, "multifd-compression": "zstd" });
    }
    await destination.migrateIncoming(lab.unix());
    const tap = lab.use(new Tap({ to: lab.unix(), record: false }));
    const info = await source.migrateAndWait(tap.uri);
    await destination.waitForStatus("completed");
    assertEquals(tap.accepted, 4);
    assert((info.ram?.["multifd-bytes"] ?? 0) > 0);
    await assertArrived(source, destination);
  });
}

qemuTest("QEMU 10.0 to 10.0: a guest goes on by itself when it ran before", {
  needs: ["10.0"],
}, async (lab) => {
  const source = await startSource(lab, "10.0");
  const destination = await lab.qemu("10.0", {
    ...{ name: "destination", guest, incoming: "defer" },
  });
  await destination.migrateIncoming("tcp:127.0.0.1:0");
  const info = await source.migrateAndWait(await destination.listening());
  assertEquals(info.status, "completed");
  assert((info.ram?.["transferred"] ?? 0) > guest.size / 4);
  await destination.waitForStatus("completed");
  assertEquals(destination.events.names.slice(0, 2), ["setup", "active"]);
  assertEquals(destination.events.statuses, ["setup", "active", "completed"]);
  await destination.serial.waitForHeartbeats();
  await destination.waitForRunState("running");
});

qemuTest("QEMU 10.0 to 10.0: a guest that nobody waits for runs on", {
  needs: ["10.0"],
}, async (lab) => {
  const source = await startSource(lab, "10.0");
  await source.migrate(lab.unix("nobody"));
  const error = await assertRejects(() => source.waitForStatus("completed"), Error);
  assert(error.message.includes("setup, failed"), error.message);
  assert(error.message.includes("nobody"), "QEMU's own words are in the message");
  await source.waitForRunState("running");
  await source.serial.waitForHeartbeats();
});

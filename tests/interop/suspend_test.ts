/**
 * A machine that sleeps travels asleep, through Ferry as well, and can be woken at the destination.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { ImageSource } from "../../src/control/image_source.ts";
import { ImageTarget } from "../../src/control/image_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import type { MachineImage } from "../../src/image/machine_image.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { settings } from "../control/fixtures/pair.ts";
import { assertSameMemory, describeDifference } from "../support/guest_memory.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import type { Qemu } from "../support/qemu.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import "../support/load_libc.ts";

const guest = new SweepGuest({ fill: 1024, suspends: true });
const NEEDS = { needs: ["10.0"] } as const;
const POSTCOPY = { "postcopy-ram": true };

async function sleeper(lab: QemuLab): Promise<Qemu> {
  const source = await lab.qemu("10.0", { name: "source", guest });
  await source.waitForEvent("SUSPEND");
  return source;
}

async function receive(lab: QemuLab, source: Qemu): Promise<MachineImage> {
  const target = new ImageTarget(() => Promise.resolve());
  const incoming = new IncomingMigration(target, {
    uri: parseUri(lab.unix("keep")),
    ...settings(),
  });
  await source.migrateAndWait(formatUri(await incoming.listening));
  await incoming.completed;
  return target.image;
}

/** Asserts that it sleeps, and that its guest goes on with the same memory when it is woken. */
async function assertWakes(qemu: Qemu): Promise<void> {
  await qemu.waitForRunState("suspended");
  await qemu.execute("system_wakeup");
  await qemu.serial.waitForHeartbeats();
  await qemu.stop();
  checkSweep(guest, await qemu.readMemory(guest.start, guest.size));
}

for (const how of ["live", "notlive"] as const) {
  qemuTest(
    `/migration/precopy/unix/suspend/${how}: QEMU 10.0 → Ferry → QEMU 10.0`,
    NEEDS,
    async (lab) => {
      const source = await sleeper(lab);
      if (how === "notlive") await source.stop();
      const image = await receive(lab, source);
      const destination = await lab.qemu("10.0", {
        ...{ name: "destination", guest, incoming: lab.unix() },
      });
      const outgoing = new OutgoingMigration(new ImageSource(image), {
        uri: parseUri(lab.unix()),
        ...settings(),
      });
      await outgoing.completed;
      await destination.waitForStatus("completed");
      if (how === "notlive") {
        await destination.waitForRunState("paused");
        await destination.cont();
      }
      await destination.waitForRunState("suspended");
      await assertSameMemory(source, destination);
      await assertWakes(destination);
    },
  );
}

qemuTest("/migration/postcopy/suspend: Ferry → QEMU 10.0", NEEDS, async (lab) => {
  const image = await receive(lab, await sleeper(lab));
  const destination = await lab.qemu("10.0", {
    ...{ name: "destination", guest, incoming: "defer" },
  });
  await destination.setCapabilities(POSTCOPY);
  await destination.migrateIncoming(lab.unix());
  const outgoing = new OutgoingMigration(new ImageSource(image), {
    uri: parseUri(lab.unix()),
    ...settings(POSTCOPY),
  });
  outgoing.startPostcopy();
  const { ram } = await outgoing.completed;
  assertEquals(ram!["postcopy-bytes"] > 0, true);
  await destination.waitForStatus("completed");
  await assertWakes(destination);
});

qemuTest("/migration/postcopy/suspend: QEMU 10.0 → Ferry", NEEDS, async (lab) => {
  const source = await sleeper(lab);
  await source.setCapabilities(POSTCOPY);
  await source.setParameters({ "max-bandwidth": 1024 ** 2 });
  const target = new ImageTarget(() => Promise.resolve());
  const incoming = new IncomingMigration(target, {
    uri: parseUri(lab.unix("keep")),
    ...settings(POSTCOPY),
  });
  await source.migrate(formatUri(await incoming.listening));
  await source.waitForStatus("active");
  await source.execute("migrate-start-postcopy");
  await source.waitForStatus("postcopy-active");
  await source.waitForStatus("completed");
  await incoming.completed;
  const ram = target.image.ram.block("pc.ram")!;
  const there = await source.readMemory(guest.start, guest.size);
  const here = Uint8Array.from(ram.view(guest.start, guest.size));
  assertEquals(describeDifference(there, here, guest.start), undefined);
  checkSweep(guest, here);
});

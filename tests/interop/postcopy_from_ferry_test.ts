/**
 * An image goes to a stock QEMU by postcopy: its guest runs there at once, and its pages follow.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { ImageSource } from "../../src/control/image_source.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { MigrationError } from "../../src/errors.ts";
import { loadImage } from "../../src/image/load_image.ts";
import type { MachineImage } from "../../src/image/machine_image.ts";
import { openImage } from "../../src/image/open_image.ts";
import { saveImage } from "../../src/image/save_image.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { settings } from "../control/fixtures/pair.ts";
import { qemuTest } from "../support/qemu_lab.ts";
import type { QemuVersion } from "../support/qemu_program.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { Tap } from "../support/tap.ts";
import { savedByQemu, Statuses } from "./ferry_source.ts";
import "../support/load_libc.ts";

const guest = new SweepGuest({ size: 12 * 1024 ** 2, fill: 1024, paceMs: 5 });

/** An image is loaded, or served from the file, as a QEMU or as Ferry wrote it. */
const ORIGINS: Readonly<Record<string, (path: string) => Promise<MachineImage>>> = {
  "loaded": loadImage,
  "as a QEMU saved it": openImage,
  "as Ferry saved it": async (path) => {
    await saveImage(await loadImage(path), `${path}.ferry`);
    return await openImage(`${path}.ferry`);
  },
};

/** Who runs the machine; the newest has the preempt channel when it is switched to and not before. */
const DESTINATIONS: readonly { readonly version: QemuVersion; readonly machine?: string }[] = [
  { version: "10.0" },
  { version: "7.2" },
  { version: "10.0", machine: "pc-i440fx-10.0" },
];

const CASES = DESTINATIONS.flatMap(({ version, machine }) =>
  [false, true].map((preempt) => ({
    version,
    kind: machine ? { machine } : {},
    capabilities: { "postcopy-ram": true, "postcopy-preempt": preempt },
    preempt: preempt ? "preempt/" : "",
    words: `QEMU ${version}${machine ? ` (${machine})` : ""}`,
  }))
);

for (const { version, kind, capabilities, preempt, words } of CASES) {
  for (const [origin, open] of Object.entries(ORIGINS)) {
    qemuTest(`/migration/postcopy/${preempt}plain: Ferry → ${words}; the image is ${origin}`, {
      needs: [version],
    }, async (lab) => {
      const image = await open(await savedByQemu(lab, version, guest, kind));
      const destination = await lab.qemu(version, {
        ...{ name: "destination", guest, incoming: "defer", ...kind },
      });
      await destination.setCapabilities(capabilities);
      await destination.migrateIncoming(lab.unix());
      const statuses = new Statuses();
      const outgoing = new OutgoingMigration(new ImageSource(image), {
        uri: parseUri(lab.unix()),
        onEvent: statuses.on,
        ...settings(capabilities),
      });
      outgoing.startPostcopy();
      const info = await statuses.completed(outgoing);
      await destination.waitForStatus("completed");
      assertEquals(
        statuses.entries.join(" "),
        "setup active device postcopy-device postcopy-active completed",
      );
      await destination.serial.waitForHeartbeats();
      await destination.stop();
      checkSweep(guest, await destination.readMemory(guest.start, guest.size));
      assert(info.ram!["postcopy-requests"] > 0);
      assert(info.ram!["postcopy-bytes"] > 0);
    });
  }
}

for (const { version, kind, capabilities, preempt, words } of CASES) {
  qemuTest(`/migration/postcopy/${preempt}recovery/plain: Ferry → ${words}`, {
    needs: [version],
  }, async (lab) => {
    const image = await openImage(await savedByQemu(lab, version, guest, kind));
    const destination = await lab.qemu(version, {
      ...{ name: "destination", guest, incoming: "defer", ...kind },
    });
    await destination.setCapabilities(capabilities);
    await destination.migrateIncoming(lab.unix("first"));
    const tap = lab.use(new Tap({ to: lab.unix("first"), record: false }));
    const statuses = new Statuses();
    const slow = settings(capabilities, { "max-postcopy-bandwidth": 1024 ** 2 });
    const outgoing = new OutgoingMigration(new ImageSource(image), {
      uri: parseUri(tap.uri),
      onEvent: statuses.on,
      ...slow,
    });
    outgoing.startPostcopy();
    await statuses.next("postcopy-active");
    await destination.serial.waitForHeartbeats(1);
    tap.cut();
    await statuses.next("postcopy-paused");
    await destination.waitForStatus("postcopy-paused");
    assertStringIncludes(outgoing.info()["error-desc"]!, "onnection");

    // Nobody waits there yet.
    outgoing.resume(parseUri(lab.unix("nobody")));
    await statuses.next("postcopy-paused");

    await destination.execute("migrate-recover", { uri: lab.unix("second") }, "exec-oob");
    outgoing.resume(parseUri(lab.unix("second")));
    await statuses.next("postcopy-active");
    await destination.waitForStatus("postcopy-active");
    await destination.serial.waitForHeartbeats(1);
    outgoing.pause();
    await statuses.next("postcopy-paused");
    await destination.waitForStatus("postcopy-paused");

    await destination.execute("migrate-recover", { uri: lab.unix("third") }, "exec-oob");
    outgoing.resume(parseUri(lab.unix("third")));
    outgoing.setParameters(settings().parameters);
    await statuses.completed(outgoing);
    await destination.waitForStatus("completed");
    assertEquals(
      statuses.entries.join(" "),
      "setup active device postcopy-device postcopy-active postcopy-paused " +
        "postcopy-recover-setup postcopy-paused " +
        "postcopy-recover-setup postcopy-recover postcopy-active postcopy-paused " +
        "postcopy-recover-setup postcopy-recover postcopy-active completed",
    );
    await destination.serial.waitForHeartbeats();
    await destination.stop();
    checkSweep(guest, await destination.readMemory(guest.start, guest.size));
  });
}

qemuTest("A QEMU that is done and cannot say so: the source knows what to do", {
  needs: ["10.0"],
}, async (lab) => {
  const image = await openImage(await savedByQemu(lab, "10.0", guest));
  const destination = await lab.qemu("10.0", { name: "destination", guest, incoming: "defer" });
  await destination.setCapabilities({ "postcopy-ram": true });
  await destination.migrateIncoming(lab.unix("first"));
  const tap = lab.use(new Tap({ to: lab.unix("first"), record: false }));
  const statuses = new Statuses();
  const outgoing = new OutgoingMigration(new ImageSource(image), {
    uri: parseUri(tap.uri),
    onEvent: statuses.on,
    ...settings({ "postcopy-ram": true }, { "max-postcopy-bandwidth": 1024 ** 2 }),
  });
  outgoing.startPostcopy();
  await statuses.next("postcopy-active");
  tap.back().stall();
  outgoing.setParameters(settings().parameters);
  await destination.waitForStatus("completed");
  tap.cut();
  await statuses.next("postcopy-paused");
  assertStringIncludes(outgoing.info()["error-desc"]!, "If it is completed");
  await assertRejects(
    () => destination.execute("migrate-recover", { uri: lab.unix("second") }, "exec-oob"),
    Error,
    "when postcopy is paused",
  );
  outgoing.resume(parseUri(lab.unix("second")));
  await statuses.next("postcopy-paused");
  assertStringIncludes(outgoing.info()["error-desc"]!, "the machine is whole there");
  await destination.serial.waitForHeartbeats();
  await destination.stop();
  checkSweep(guest, await destination.readMemory(guest.start, guest.size));
});

for (const preempt of [false, true]) {
  qemuTest(
    `A QEMU that cannot load the devices: the machine is not lost to it (preempt: ${preempt})`,
    {
      needs: ["10.0"],
    },
    async (lab) => {
      const args = ["-device", "virtio-rng-pci"];
      const image = await openImage(await savedByQemu(lab, "10.0", guest, { args }));
      const destination = await lab.qemu("10.0", { name: "other", guest, incoming: "defer" });
      const capabilities = { "postcopy-ram": true, "postcopy-preempt": preempt };
      await destination.setCapabilities(capabilities);
      await destination.migrateIncoming(lab.unix());
      const statuses = new Statuses();
      const outgoing = new OutgoingMigration(new ImageSource(image), {
        uri: parseUri(lab.unix()),
        onEvent: statuses.on,
        ...settings(capabilities, { "max-postcopy-bandwidth": 1024 ** 2 }),
      });
      outgoing.startPostcopy();
      await assertRejects(() => outgoing.completed, MigrationError);
      assertEquals(statuses.entries.join(" "), "setup active device postcopy-device failed");
      // It says that it failed, or, with a listening thread left behind, aborts.
      assertNotEquals((await destination.exited).code, 0);

      // So it can go to one that can.
      const right = await lab.qemu("10.0", { name: "right", guest, incoming: "defer", args });
      await right.setCapabilities(capabilities);
      await right.migrateIncoming(lab.unix("right"));
      const second = new OutgoingMigration(new ImageSource(image), {
        uri: parseUri(lab.unix("right")),
        onEvent: statuses.on,
        ...settings(capabilities),
      });
      second.startPostcopy();
      await second.completed;
      await right.serial.waitForHeartbeats();
      await right.stop();
      checkSweep(guest, await right.readMemory(guest.start, guest.size));
    },
  );
}

for (const version of ["10.0", "7.2"] as const) {
  qemuTest(`/migration/precopy/file: Ferry → QEMU ${version}, which ignores the image's index`, {
    needs: [version],
  }, async (lab) => {
    const image = await loadImage(await savedByQemu(lab, version, guest));
    const path = lab.path("ferry");
    await saveImage(image, path);
    const incoming = version === "10.0" ? `file:${path}` : `exec:cat ${path}`;
    const destination = await lab.qemu(version, { name: "destination", guest, incoming });
    await destination.waitForStatus("completed");
    await destination.serial.waitForHeartbeats();
    await destination.stop();
    checkSweep(guest, await destination.readMemory(guest.start, guest.size));
  });
}

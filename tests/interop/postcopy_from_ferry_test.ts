/**
 * An image goes to a stock QEMU by postcopy: its guest runs there at once, and its pages follow.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ImageSource } from "../../src/control/image_source.ts";
import type { MigrationEvent, MigrationInfo } from "../../src/control/migration_info.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { loadImage } from "../../src/image/load_image.ts";
import type { MachineImage } from "../../src/image/machine_image.ts";
import { openImage } from "../../src/image/open_image.ts";
import { saveImage } from "../../src/image/save_image.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { settings } from "../control/fixtures/pair.ts";
import { EventLog } from "../support/event_log.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import type { QemuVersion } from "../support/qemu_program.ts";
import { saveStream } from "../support/save_stream.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { Tap } from "../support/tap.ts";
import "../support/load_libc.ts";

const guest = new SweepGuest({ size: 12 * 1024 ** 2, fill: 1024, paceMs: 5 });

/** A file with the machine of a guest that has run, written by a QEMU. */
async function savedByQemu(
  lab: QemuLab,
  version: QemuVersion,
  kind: { readonly machine?: string } = {},
): Promise<string> {
  const source = await lab.qemu(version, { name: "saved", guest, ...kind });
  await source.serial.waitForHeartbeats();
  const path = lab.path("image");
  await Deno.writeFile(path, await saveStream(source, lab.dir));
  return path;
}

/** A migration's statuses. */
class Statuses extends EventLog<string> {
  readonly on = (event: MigrationEvent): void => {
    if (event.event === "MIGRATION") this.push(event.data.status);
  };

  /** Waits for a status to be entered once more. */
  async next(status: string): Promise<void> {
    this.#seen = await this.wait((entry) => entry === status, { what: status, from: this.#seen }) +
      1;
  }
  #seen = 0;

  /** Waits for a migration that is not to be paused. */
  async completed(outgoing: OutgoingMigration): Promise<MigrationInfo> {
    const end = ["completed", "failed", "postcopy-paused"];
    await this.wait((entry) => end.includes(entry), { what: "the end", from: this.#seen });
    const info = outgoing.info();
    assertEquals(info.status, "completed", info["error-desc"]);
    return await outgoing.completed;
  }
}

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
      const image = await open(await savedByQemu(lab, version, kind));
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
    const image = await openImage(await savedByQemu(lab, version, kind));
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

for (const version of ["10.0", "7.2"] as const) {
  qemuTest(`/migration/precopy/file: Ferry → QEMU ${version}, which ignores the image's index`, {
    needs: [version],
  }, async (lab) => {
    const image = await loadImage(await savedByQemu(lab, version));
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

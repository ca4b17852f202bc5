/**
 * An image goes to a stock QEMU by postcopy: its guest runs there at once, and its pages follow.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ImageSource } from "../../src/control/image_source.ts";
import type { MigrationEvent } from "../../src/control/migration_info.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { loadImage } from "../../src/image/load_image.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { settings } from "../control/fixtures/pair.ts";
import { EventLog } from "../support/event_log.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import type { QemuVersion } from "../support/qemu_program.ts";
import { saveStream } from "../support/save_stream.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import "../support/load_libc.ts";

const guest = new SweepGuest({ size: 12 * 1024 ** 2, fill: 1024, paceMs: 5 });

/** A file with the machine of a guest that has run, written by a QEMU. */
async function savedByQemu(lab: QemuLab, version: QemuVersion): Promise<string> {
  const source = await lab.qemu(version, { name: "saved", guest });
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
}

for (const version of ["10.0", "7.2"] as const) {
  for (const preempt of [false, true]) {
    const capabilities = { "postcopy-ram": true, "postcopy-preempt": preempt };
    qemuTest(`An image runs in QEMU ${version} at once, ${preempt ? "with" : "without"} preempt`, {
      needs: [version],
    }, async (lab) => {
      const image = await loadImage(await savedByQemu(lab, version));
      const destination = await lab.qemu(version, { name: "destination", guest, incoming: "defer" });
      await destination.setCapabilities(capabilities);
      await destination.migrateIncoming(lab.unix());
      const statuses = new Statuses();
      const outgoing = new OutgoingMigration(new ImageSource(image), {
        uri: parseUri(lab.unix()),
        onEvent: statuses.on,
        ...settings(capabilities),
      });
      outgoing.startPostcopy();
      const info = await outgoing.completed;
      await destination.waitForStatus("completed");
      assertEquals(
        statuses.entries.join(" "),
        "setup active device postcopy-device postcopy-active completed",
      );
      await destination.serial.waitForHeartbeats();
      await destination.stop();
      checkSweep(guest, await destination.readMemory(guest.start, guest.size));
      assert(info.ram!["postcopy-requests"] > 0);
    });
  }
}

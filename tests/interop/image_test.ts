/**
 * A QEMU's machine comes in, is held as an image, and goes to another QEMU.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { defaultCapabilities } from "../../src/control/capabilities.ts";
import { ImageSource } from "../../src/control/image_source.ts";
import { ImageTarget } from "../../src/control/image_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { defaultParameters } from "../../src/control/parameters.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { assertSameMemory } from "../support/guest_memory.ts";
import { qemuTest } from "../support/qemu_lab.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import "../support/load_libc.ts";

const guest = new SweepGuest({ fill: 1024, paceMs: 5 });

for (
  const [from, to] of [["10.0", "10.0"], ["7.2", "10.0"], ["10.0", "7.2"], ["7.2", "7.2"]] as const
) {
  for (const returnPath of [true, false]) {
    qemuTest(
      `/migration/precopy/unix/plain: QEMU ${from} → Ferry → QEMU ${to}, return path ${
        returnPath ? "on" : "off"
      }`,
      {
        needs: [from, to],
      },
      async (lab) => {
        const source = await lab.qemu(from, { name: "source", guest });
        await source.setCapabilities({ "return-path": returnPath });
        await source.serial.waitForHeartbeats(2);
        const target = new ImageTarget(() => Promise.resolve());
        const settings = { capabilities: defaultCapabilities(), parameters: defaultParameters() };
        const incoming = new IncomingMigration(target, {
          uri: parseUri(lab.unix("keep")),
          ...settings,
        });
        await source.migrateAndWait(formatUri(await incoming.listening));
        await incoming.completed;

        const destination = await lab.qemu(to, {
          ...{ name: "destination", guest, incoming: lab.unix(), paused: true },
        });
        const outgoing = new OutgoingMigration(new ImageSource(target.image), {
          uri: parseUri(lab.unix()),
          capabilities: { ...settings.capabilities, "return-path": returnPath },
          parameters: settings.parameters,
        });
        assertEquals((await outgoing.completed).status, "completed");
        await destination.waitForStatus("completed");
        await source.waitForRunState("postmigrate");
        await destination.waitForRunState("paused");
        await assertSameMemory(source, destination);
        await destination.cont();
        await destination.serial.waitForHeartbeats();
        await destination.stop();
        checkSweep(guest, await destination.readMemory(guest.start, guest.size));
        assert(target.image.sections.length > 5);
      },
    );
  }
}

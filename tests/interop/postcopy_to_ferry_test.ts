/**
 * A QEMU's machine comes in by postcopy: it is given away first, and the rest of its pages follows.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { changeCapabilities, defaultCapabilities } from "../../src/control/capabilities.ts";
import { ImageTarget } from "../../src/control/image_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import type { MigrationEvent } from "../../src/control/migration_info.ts";
import { defaultParameters } from "../../src/control/parameters.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import type { Qemu } from "../support/qemu.ts";
import { describeDifference } from "../support/guest_memory.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import type { QemuVersion } from "../support/qemu_program.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { EventLog } from "../support/event_log.ts";
import "../support/load_libc.ts";

const MIB = 1024 ** 2;
const guest = new SweepGuest({ size: 24 * MIB, fill: 1024, paceMs: 1 });
/** Slow enough for a switch in the middle of the first round. */
const PRECOPY_BANDWIDTH = 4 * MIB;

/** Everything a test looks at on Ferry's side. */
class Destination {
  readonly target = new ImageTarget(() => Promise.resolve());
  readonly events = new EventLog<string>();
  readonly incoming: IncomingMigration;

  constructor(capabilities: Readonly<Record<string, boolean>>) {
    this.incoming = new IncomingMigration(this.target, {
      uri: parseUri("tcp:127.0.0.1:0"),
      capabilities: changeCapabilities(defaultCapabilities(), capabilities),
      parameters: defaultParameters(),
      onEvent: (event: MigrationEvent) => {
        this.events.push(event.event === "MIGRATION" ? event.data.status : event.event);
      },
    });
  }

  get report(): string {
    const { status, "error-desc": error } = this.incoming.info();
    return `Ferry is ${status}: ${this.events.entries.join(" ")} ${error ?? ""}`;
  }

  [Symbol.dispose](): void {}

  async reached(status: string): Promise<void> {
    await this.events.wait(() => this.events.entries.includes(status), { what: status });
  }
}

async function startSource(
  lab: QemuLab,
  version: QemuVersion,
  capabilities: Readonly<Record<string, boolean>>,
): Promise<Qemu> {
  const source = await lab.qemu(version, { name: "source", guest, ram: "32M" });
  await source.setCapabilities(capabilities);
  await source.setParameters({ "max-bandwidth": PRECOPY_BANDWIDTH });
  await source.serial.waitForHeartbeats(1);
  return source;
}

/** Checks every page of the image against the source's, which has stopped. */
async function assertSameAsSource(source: Qemu, { target }: Destination): Promise<void> {
  await source.waitForRunState("postmigrate");
  const ram = target.image.ram.block("pc.ram")!;
  for (const [start, size] of [[0, 0xa0000], [0x100000, ram.length - 0x100000]] as const) {
    const there = await source.readMemory(start, size);
    const here = Uint8Array.from(ram.view(start, size));
    assertEquals(describeDifference(there, here, start), undefined);
  }
  checkSweep(guest, Uint8Array.from(ram.view(guest.start, guest.size)));
  for (const block of target.image.ram.blocks) {
    assertEquals(block.received.count(), block.pageCount);
  }
  assert(target.image.sections.length > 5);
}

for (const version of ["10.0", "7.2"] as const) {
  for (const preempt of [false, true]) {
    qemuTest(
      `QEMU ${version} to an image by postcopy${preempt ? " with a preempt channel" : ""}`,
      { needs: [version] },
      async (lab) => {
        const capabilities = { "postcopy-ram": true, "postcopy-preempt": preempt };
        const source = await startSource(lab, version, capabilities);
        const destination = lab.use(new Destination(capabilities));
        await source.migrate(formatUri(await destination.incoming.listening));
        await source.waitForStatus("active");
        await source.execute("migrate-start-postcopy");
        await source.waitForStatus("completed");
        const info = await destination.incoming.completed;
        assertEquals(info.status, "completed");
        assertEquals(destination.events.entries, [
          ...["setup", "active", "postcopy-device", "postcopy-active", "completed"],
        ]);
        await assertSameAsSource(source, destination);
      },
    );
  }
}

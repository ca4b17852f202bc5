/**
 * Ferry as the source of a postcopy to a QEMU.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { MigrationEvent, MigrationInfo } from "../../src/control/migration_info.ts";
import type { OutgoingMigration } from "../../src/control/outgoing.ts";
import { EventLog } from "../support/event_log.ts";
import type { QemuOptions } from "../support/qemu.ts";
import type { QemuLab } from "../support/qemu_lab.ts";
import type { QemuVersion } from "../support/qemu_program.ts";
import { saveStream } from "../support/save_stream.ts";
import type { SweepGuest } from "../support/sweep_guest.ts";

/** A file with the machine of a guest that has run, written by a QEMU. */
export async function savedByQemu(
  lab: QemuLab,
  version: QemuVersion,
  guest: SweepGuest,
  kind: Pick<QemuOptions, "machine" | "ram" | "args"> = {},
): Promise<string> {
  const source = await lab.qemu(version, { name: "saved", guest, ...kind });
  await source.serial.waitForHeartbeats();
  const path = lab.path("image");
  await Deno.writeFile(path, await saveStream(source, lab.dir));
  return path;
}

/** A migration's statuses. */
export class Statuses extends EventLog<string> {
  #seen = 0;
  /** The listener. */
  readonly on = (event: MigrationEvent): void => {
    if (event.event === "MIGRATION") this.push(event.data.status);
  };

  /** Waits for a status to be entered once more. */
  async next(status: string): Promise<void> {
    this.#seen = await this.wait((entry) => entry === status, { what: status, from: this.#seen }) +
      1;
  }

  /** Waits for a migration that is not to be paused. */
  async completed(outgoing: OutgoingMigration): Promise<MigrationInfo> {
    const end = ["completed", "failed", "postcopy-paused"];
    await this.wait((entry) => end.includes(entry), { what: "the end", from: this.#seen });
    const info = outgoing.info();
    assertEquals(info.status, "completed", info["error-desc"]);
    return await outgoing.completed;
  }
}

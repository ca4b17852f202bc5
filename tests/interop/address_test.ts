/**
 * Where a migration goes: how it is said, and what is refused.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { qemuTest } from "../support/qemu_lab.ts";
import { QmpCommandError } from "../support/qmp_client.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import {
  ferryDestination,
  ferrySource,
  noneDestination,
  type QmpSide,
  untilAnswer,
} from "./qmp_sides.ts";

const guest = new SweepGuest({ size: 2 * 1024 ** 2, fill: 1024, paceMs: 5 });
const NEEDS = { needs: ["10.0"] } as const;
const NOWHERE = "tcp:127.0.0.1:0";
const CHANNELS = [{
  "channel-type": "main",
  addr: { transport: "socket", type: "inet", host: "127.0.0.1", port: "0" },
}];

interface Sides {
  readonly source: QmpSide;
  readonly destination: QmpSide;
}

/** Registers a test of both directions. */
function addressTest(path: string, fn: (sides: Sides, uri: string) => Promise<void>): void {
  qemuTest(`${path}: QEMU 10.0 → Ferry`, NEEDS, async (lab) => {
    const source = await lab.qemu("10.0", { name: "source", guest });
    await source.serial.waitForHeartbeats(1);
    await fn({ source, destination: await ferryDestination(lab) }, lab.unix());
    await source.serial.waitForHeartbeats(1);
  });
  qemuTest(`${path}: Ferry → QEMU 10.0`, NEEDS, async (lab) => {
    const destination = await noneDestination(lab);
    await fn({ source: await ferrySource(lab), destination }, lab.unix());
  });
}

addressTest("/migration/bad_dest", async ({ source, destination }, uri) => {
  await destination.execute("migrate-incoming", { uri });
  await source.execute("migrate", { uri: NOWHERE });
  await source.events.waitForStatus("failed");
  await untilAnswer(source, "query-status", ({ status }) => status === "running");
  const { status } = await destination.execute("query-migrate") as { status: string };
  assertEquals(status, "setup");
});

for (
  const [name, args] of [
    ["both_set", { uri: NOWHERE, channels: CHANNELS }],
    ["none_set", {}],
  ] as const
) {
  const path = `/migration/validate_uri/channels/${name}`;
  addressTest(path, async ({ source, destination }) => {
    const refused = async (side: QmpSide, command: string) => {
      const error = await assertRejects(() => side.execute(command, { ...args }), QmpCommandError);
      assertEquals(error.qmpClass, "GenericError");
    };
    await refused(source, "migrate");
    await refused(destination, "migrate-incoming");
    for (const side of [source, destination]) {
      const { status } = await side.execute("query-migrate") as { status?: string };
      assertEquals(status ?? "none", "none");
    }
  });
}

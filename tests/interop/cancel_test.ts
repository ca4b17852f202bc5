/**
 * `migrate_cancel` at each status of the source, which is a QEMU or a Ferry, told the same by QMP.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { qemuTest } from "../support/qemu_lab.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import {
  ferryDestination,
  ferrySource,
  noneDestination,
  type QmpSide,
  setCapabilities,
  untilAnswer,
} from "./qmp_sides.ts";

const guest = new SweepGuest({ size: 2 * 1024 ** 2, fill: 1024, paceMs: 5 });
const NEEDS = { needs: ["10.0"] } as const;

const STATUSES = [
  "none",
  "setup",
  "cancelling",
  "cancelled",
  "active",
  "completed",
  "failed",
  "pre-switchover",
] as const;

/** Two sides that do not know of each other yet, and where they will meet. */
interface Sides {
  readonly source: QmpSide;
  readonly destination: QmpSide;
  readonly uri: string;
  /** Whether pages have channels of their own. A QEMU that loses those while it waits for all of them hangs. */
  readonly multifd: boolean;
}

async function listen({ destination, uri }: Sides): Promise<void> {
  await destination.execute("migrate-incoming", { uri, "exit-on-error": false });
}

/** Migrates, and cancels as soon as the source has said that it has the status. */
async function cancelAt(status: string, { source, uri }: Sides): Promise<void> {
  source.events.skipStatuses();
  await source.execute("migrate", { uri });
  await source.events.waitForStatus(status);
  await source.execute("migrate_cancel");
}

async function statusOf(side: QmpSide): Promise<unknown> {
  return (await side.execute("query-migrate") as { status?: string }).status;
}

/** Both are done, and the machine is the destination's. */
async function assertMoved({ source, destination }: Sides): Promise<void> {
  for (const side of [source, destination]) {
    await untilAnswer(side, "query-migrate", ({ status }) => status === "completed");
  }
}

/** Both are done, and the machine runs at the source. */
async function assertCancelled({ source, destination }: Sides): Promise<void> {
  await untilAnswer(source, "query-migrate", ({ status }) => status === "cancelled");
  await untilAnswer(source, "query-status", ({ status }) => status === "running");
  await untilAnswer(destination, "query-migrate", ({ status }) => status === "failed");
}

/** What QEMU's own tests do for each status. */
async function cancelAfter(status: typeof STATUSES[number], sides: Sides): Promise<void> {
  const { source, destination, uri, multifd } = sides;
  switch (status) {
    case "none":
      await destination.execute("migrate_cancel");
      await source.execute("migrate_cancel");
      await listen(sides);
      await source.execute("migrate", { uri });
      return await assertMoved(sides);
    case "failed":
      await cancelAt("failed", sides); // nobody listens
      assertEquals(await statusOf(source), "failed");
      await untilAnswer(source, "query-status", ({ status }) => status === "running");
      return;
    case "completed":
      await listen(sides);
      await cancelAt("completed", sides);
      return await assertMoved(sides);
    case "cancelling":
    case "cancelled":
      // Long enough for the first of the two.
      await source.execute("migrate-set-parameters", { "max-bandwidth": 65536 });
      await listen(sides);
      await source.execute("migrate", { uri });
      await source.execute("migrate_cancel");
      await source.events.waitForStatus(status);
      await source.execute("migrate_cancel");
      return await assertCancelled(sides);
    case "setup":
    case "active":
    case "pre-switchover":
      for (const side of [source, destination]) {
        await setCapabilities(side, { "pause-before-switchover": true, multifd });
      }
      await listen(sides);
      await cancelAt(status, sides);
      await source.events.waitForStatus("cancelling", "cancelled");
      return await assertCancelled(sides);
  }
}

for (const status of STATUSES) {
  const path = `/migration/cancel/src/after/${status}`;
  qemuTest(`${path}: QEMU 10.0 → Ferry`, NEEDS, async (lab) => {
    const source = await lab.qemu("10.0", { name: "source", guest });
    await source.serial.waitForHeartbeats(1);
    const destination = await ferryDestination(lab);
    await cancelAfter(status, { source, destination, uri: lab.unix(), multifd: true });
  });

  qemuTest(`${path}: Ferry → QEMU 10.0`, NEEDS, async (lab) => {
    const destination = await noneDestination(lab);
    const source = await ferrySource(lab);
    await cancelAfter(status, { source, destination, uri: lab.unix(), multifd: false });
  });
}

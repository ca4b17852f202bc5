/**
 * What both sides must agree on, with a real QEMU at the other end.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ImageTarget } from "../../src/control/image_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { MachineSource } from "../../src/control/machine_source.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { IncompatibleError } from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { buffer, vmstate } from "../../src/vmstate/mod.ts";
import { settings } from "../control/fixtures/pair.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import { COMMON_MACHINE } from "../support/qemu_start.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";

const ONE = "6d2c1b3a-5f4e-4d6c-8b7a-0123456789ab";
const OTHER = "7d2c1b3a-5f4e-4d6c-8b7a-0123456789ab";
const guest = new SweepGuest({ paceMs: 5 });
const NEEDS = { needs: ["10.0"] } as const;

function receiveImage(capabilities = {}) {
  const target = new ImageTarget(() => Promise.resolve());
  const uri = parseUri("tcp:127.0.0.1:0");
  return { target, incoming: new IncomingMigration(target, { uri, ...settings(capabilities) }) };
}

qemuTest(
  "/migration/precopy/tcp/plain/switchover-ack: QEMU 10.0 → Ferry",
  NEEDS,
  async (lab) => {
    const source = await lab.qemu("10.0", { name: "source", guest });
    const on = { "return-path": true, "switchover-ack": true };
    await source.setCapabilities(on);
    await source.serial.waitForHeartbeats();
    const { incoming } = receiveImage(on);
    await source.migrateAndWait(formatUri(await incoming.listening));
    await incoming.completed;
  },
);

/** A Ferry that sends a machine `none`, which QEMU has as well, to a QEMU. */
async function sendToQemu(
  lab: QemuLab,
  uuids: readonly (string | undefined)[],
  capabilities: Record<string, boolean>,
) {
  const [own, theirs] = uuids;
  await using machine = await Machine.create({
    name: "none",
    ram: { ram: 2 ** 20 },
    ...own && { uuid: own },
  });
  await machine.start();
  const destination = await lab.qemu("10.0", {
    ...{ name: "destination", machine: "none", incoming: "defer", paused: true },
    args: ["-m", "1M", ...theirs ? ["-uuid", theirs] : []],
  });
  await destination.setCapabilities(capabilities);
  await destination.migrateIncoming(lab.unix(), { "exit-on-error": false });
  const outgoing = new OutgoingMigration(new MachineSource(machine), {
    uri: parseUri(lab.unix()),
    ...settings(capabilities),
  });
  await outgoing.completed.catch(() => {});
  const status = await destination.waitForStatus("completed", "failed");
  assertEquals(machine.running, status === "failed");
  return status;
}

qemuTest(
  "/migration/precopy/tcp/plain/switchover-ack: Ferry → QEMU 10.0",
  NEEDS,
  async (lab) => {
    const on = { "return-path": true, "switchover-ack": true };
    assertEquals(await sendToQemu(lab, [], on), "completed");
  },
);

/** What QEMU's machine `none` has besides RAM: a timer, whose state means nothing to a Ferry. */
const timer = {
  description: vmstate("timer", { version: 2, fields: { ticks: buffer(24) } }),
  instance: { ticks: new Uint8Array(24) },
};

/** A Ferry that receives QEMU's machine `none`, and runs it. @returns Which status both got to. */
async function receiveFromQemu(lab: QemuLab, uuids: readonly (string | undefined)[]) {
  const [theirs, own] = uuids;
  const source = await lab.qemu("10.0", {
    ...{ name: "source", machine: "none" },
    args: ["-m", "1M", ...theirs ? ["-uuid", theirs] : []],
  });
  await source.setCapabilities(validated);
  await using machine = await Machine.create({
    ...{ name: "none", ram: { ram: 2 ** 20 }, devices: [timer] },
    ...own && { uuid: own },
  });
  const incoming = new IncomingMigration(new MachineTarget(machine), {
    uri: parseUri(lab.unix()),
    ...settings(validated),
  });
  await source.migrate(formatUri(await incoming.listening));
  await incoming.completed.catch(() => {});
  const status = await source.waitForStatus("completed", "failed");
  assertEquals(incoming.status, status);
  assertEquals(machine.running, status === "completed");
  return status;
}

const validated = { "return-path": true, "validate-uuid": true };
for (
  const [path, uuids, status] of [
    ["/migration/validate_uuid", [ONE, ONE], "completed"],
    ["/migration/validate_uuid_error", [ONE, OTHER], "failed"],
    ["/migration/validate_uuid_src_not_set", [undefined, ONE], "completed"],
    ["/migration/validate_uuid_dst_not_set", [ONE, undefined], "completed"],
  ] as const
) {
  qemuTest(`${path}: Ferry → QEMU 10.0`, NEEDS, async (lab) => {
    assertEquals(await sendToQemu(lab, uuids, validated), status);
  });

  qemuTest(`${path}: QEMU 10.0 → Ferry`, NEEDS, async (lab) => {
    assertEquals(await receiveFromQemu(lab, uuids), status);
  });
}

qemuTest(
  "/migration/validate_uuid: QEMU 10.0 → Ferry, which keeps the UUID in an image",
  NEEDS,
  async (lab) => {
    const source = await lab.qemu("10.0", { name: "source", guest, args: ["-uuid", ONE] });
    await source.setCapabilities(validated);
    await source.serial.waitForHeartbeats();
    const { target, incoming } = receiveImage();
    await source.migrateAndWait(formatUri(await incoming.listening));
    await incoming.completed;
    assertEquals(target.image.configuration.uuid?.toHex(), ONE.replaceAll("-", ""));
  },
);

/** Tests whose RAM both QEMUs have as a file, and what is set in both. */
const SHARED: Readonly<Record<string, Record<string, string>>> = {
  "/migration/ignore-shared": {},
  "/migration/mode/reboot": { mode: "cpr-reboot" },
};

for (const [path, parameters] of Object.entries(SHARED)) {
  qemuTest(
    `${path}: QEMU 10.0 → Ferry → QEMU 10.0, RAM that both QEMUs have as a file`,
    NEEDS,
    async (lab) => {
      const size = 32 * 1024 ** 2;
      const filled = new SweepGuest({ size: 24 * 1024 ** 2, fill: 1024, paceMs: 5 });
      const memory = {
        ...{ guest: filled, ram: "32M", machine: `${COMMON_MACHINE},memory-backend=mem` },
        args: [
          "-object",
          `memory-backend-file,id=mem,size=${size},share=on,mem-path=${lab.path("memory")}`,
        ],
      };
      const source = await lab.qemu("10.0", { name: "source", ...memory });
      await source.setCapabilities({ "return-path": true, "x-ignore-shared": true });
      await source.setParameters(parameters);
      await source.serial.waitForHeartbeats(2);
      const image = lab.path("image");
      const args = ["receive", lab.unix("save"), "--save", image, "-c", "x-ignore-shared"];
      const receiver = lab.ferry(args);
      await source.migrateAndWait(await receiver.listening());
      await receiver.succeeded();
      assert((await Deno.stat(image)).size < 4 * 1024 ** 2);

      const destination = await lab.qemu("10.0", {
        ...{ name: "destination", ...memory, incoming: "defer" },
      });
      await destination.setCapabilities({ "x-ignore-shared": true });
      await destination.setParameters(parameters);
      await destination.migrateIncoming(lab.unix());
      await lab.ferry(["send", lab.unix(), "--from", image]).succeeded();
      await destination.waitForStatus("completed");
      await destination.serial.waitForHeartbeats();
      await destination.stop();
      checkSweep(filled, await destination.readMemory(filled.start, filled.size));
    },
  );
}

qemuTest("A QEMU with x-ignore-shared is refused, and its guest runs on", NEEDS, async (lab) => {
  const source = await lab.qemu("10.0", { name: "source", guest });
  await source.setCapabilities({ "return-path": true, "x-ignore-shared": true });
  await source.serial.waitForHeartbeats();
  const { incoming } = receiveImage();
  await source.migrate(formatUri(await incoming.listening));
  const error = await assertRejects(() => incoming.completed, IncompatibleError);
  assert(error.message.includes("x-ignore-shared is on at the source"));
  await source.waitForStatus("failed");
  await source.waitForRunState("running");
});

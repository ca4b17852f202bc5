/**
 * The command line between two real QEMUs: `receive --save` takes a machine that keeps writing its memory,
 * `send --from` gives it to another QEMU, where it goes on.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { assertSameMemory } from "../support/guest_memory.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import type { Qemu } from "../support/qemu.ts";
import type { QemuVersion } from "../support/qemu_program.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";

const guest = new SweepGuest({ fill: 1024, paceMs: 5 });

/** A QEMU whose guest is at work. */
async function runningSource(lab: QemuLab, version: QemuVersion): Promise<Qemu> {
  const source = await lab.qemu(version, { name: "source", guest });
  await source.serial.waitForHeartbeats(2);
  return source;
}

/** A QEMU that has received the machine and stands still before its first instruction. */
async function pausedDestination(lab: QemuLab, version: QemuVersion, incoming: string) {
  return await lab.qemu(version, { name: "destination", guest, incoming, paused: true });
}

/** Lets the machine run where it is now, and looks at what its guest writes. */
async function assertGoesOn(destination: Qemu): Promise<void> {
  await destination.cont();
  await destination.serial.waitForHeartbeats();
  await destination.stop();
  checkSweep(guest, await destination.readMemory(guest.start, guest.size));
}

for (
  const [from, to] of [["10.0", "10.0"], ["7.2", "10.0"], ["10.0", "7.2"], ["7.2", "7.2"]] as const
) {
  for (const [returnPath, live] of [[true, true], [false, false]] as const) {
    const name = `/migration/precopy/tcp/plain: QEMU ${from} → Ferry → QEMU ${to}, ` +
      `return path ${returnPath ? "on" : "off"}, guest ${live ? "running" : "stopped"}`;
    qemuTest(name, { needs: [from, to] }, async (lab) => {
      const source = await runningSource(lab, from);
      await source.setCapabilities({ "return-path": returnPath });
      if (!live) await source.stop();
      const image = lab.path("machine.img");
      const keeper = lab.ferry(["receive", "tcp:127.0.0.1:0", "--save", image]);
      await source.migrateAndWait(await keeper.listening());
      assertEquals((await keeper.succeeded())["status"], "completed");
      await source.waitForRunState("postmigrate");

      const destination = await pausedDestination(lab, to, "tcp:127.0.0.1:0");
      const saved = await Deno.readFile(image);
      const path = ["-c", `return-path=${returnPath ? "on" : "off"}`];
      const there = await destination.listening();
      const giver = lab.ferry(["send", there, "--from", image, ...path]);
      assertEquals((await giver.succeeded())["status"], "completed");
      await destination.waitForStatus("completed");
      await assertSameMemory(source, destination);
      await assertGoesOn(destination);
      assertEquals(await Deno.readFile(image), saved);
    });
  }
}

for (
  const [version, load] of [["10.0", "file:"], ["7.2", "exec:cat "], ["10.0", "exec:cat "]] as const
) {
  qemuTest(
    `/migration/precopy/file: Ferry → QEMU ${version}, which loads the image with ${load}IMAGE`,
    {
      needs: [version],
    },
    async (lab) => {
      const source = await runningSource(lab, version);
      const image = lab.path("machine.img");
      const keeper = lab.ferry(["receive", lab.unix("keep"), "--save", image]);
      await source.migrateAndWait(await keeper.listening());
      await keeper.succeeded();
      const destination = await pausedDestination(lab, version, `${load}${image}`);
      await destination.waitForStatus("completed");
      await assertSameMemory(source, destination);
      await assertGoesOn(destination);
    },
  );
}

for (const [version, save] of [["10.0", "file:"], ["7.2", "exec:cat > "]] as const) {
  qemuTest(
    `/migration/precopy/file: QEMU ${version} → Ferry → QEMU ${version}, written with ${save}IMAGE`,
    {
      needs: [version],
    },
    async (lab) => {
      const source = await runningSource(lab, version);
      await source.stop();
      const image = lab.path("machine.img");
      await source.migrateAndWait(`${save}${image}`);
      const destination = await pausedDestination(lab, version, "tcp:127.0.0.1:0");
      await lab.ferry(["send", await destination.listening(), "--from", image]).succeeded();
      await destination.waitForStatus("completed");
      await assertSameMemory(source, destination);
      await assertGoesOn(destination);
    },
  );
}

qemuTest("kill -9 of receive in the middle: the QEMU's guest goes on", {
  needs: ["10.0"],
}, async (lab) => {
  const source = await runningSource(lab, "10.0");
  await source.setParameters({ "max-bandwidth": 1024 ** 2 });
  const keeper = lab.ferry(["receive", "tcp:127.0.0.1:0", "--save", lab.path("machine.img")]);
  await source.migrate(await keeper.listening());
  await source.waitForStatus("active");
  await keeper.waitForStatus("active");
  keeper.kill("SIGKILL");
  await source.waitForStatus("failed");
  assertEquals(await source.runState(), "running");
  await source.serial.waitForHeartbeats();
  await assertRejects(() => Deno.stat(lab.path("machine.img")), Deno.errors.NotFound);
});

qemuTest("A QEMU that refuses the machine says so, and the image stays", {
  needs: ["10.0"],
}, async (lab) => {
  const source = await runningSource(lab, "10.0");
  const image = lab.path("machine.img");
  const keeper = lab.ferry(["receive", lab.unix("keep"), "--save", image]);
  await source.migrateAndWait(await keeper.listening());
  await keeper.succeeded();
  const args = ["-device", "virtio-rng-pci"];
  const other = await lab.qemu("10.0", {
    name: "other",
    machine: "pc",
    args,
    incoming: lab.unix(),
  });
  const giver = lab.ferry(["send", lab.unix(), "--from", image]);
  const { code, stderr } = await giver.finished();
  assertEquals(code, 1);
  assertStringIncludes(stderr, `The image ${image} is as it was`);
  await other.exited;
  assert((await Deno.stat(image)).isFile);
});

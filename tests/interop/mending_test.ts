/**
 * Ferry's command line and a QEMU whose postcopy breaks: what Ferry does by itself, and what a sender does
 * that is started anew.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { loadImage } from "../../src/image/load_image.ts";
import { describeDifference } from "../support/guest_memory.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import type { QemuVersion } from "../support/qemu_program.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { Tap } from "../support/tap.ts";
import { savedByQemu } from "./ferry_source.ts";

const guest = new SweepGuest({ size: 12 * 1024 ** 2, fill: 1024, paceMs: 5 });
/** Slow enough to be broken in the middle. */
const SLOW = ["--postcopy-after", "0", "-p", "max-postcopy-bandwidth=2M"];

async function destinationOf(lab: QemuLab, version: QemuVersion, preempt: boolean) {
  const path = await savedByQemu(lab, version, guest);
  const destination = await lab.qemu(version, { name: "destination", guest, incoming: "defer" });
  await destination.setCapabilities({ "postcopy-ram": true, "postcopy-preempt": preempt });
  const capabilities = ["-c", "postcopy-ram", ...preempt ? ["-c", "postcopy-preempt"] : []];
  return { path, destination, capabilities };
}

for (const version of ["10.0", "7.2"] as const) {
  for (const preempt of [false, true]) {
    const how = `QEMU ${version}, preempt: ${preempt}`;

    qemuTest(`A sender that is killed, and the one after it: --resume goes on (${how})`, {
      needs: [version],
    }, async (lab) => {
      const { path, destination, capabilities } = await destinationOf(lab, version, preempt);
      await destination.migrateIncoming(lab.unix("0"));
      const command = (times: number) => [
        ...["send", lab.unix(`${times}`), "--from", path, ...capabilities],
        ...times === 0 ? SLOW : ["--resume", ...SLOW],
      ];
      for (const times of [0, 1]) {
        const ferry = lab.ferry(command(times));
        await ferry.waitForStatus("postcopy-active");
        await destination.serial.waitForHeartbeats(1);
        ferry.kill("SIGKILL");
        await destination.waitForStatus("postcopy-paused");
        const uri = lab.unix(`${times + 1}`);
        await destination.execute("migrate-recover", { uri }, "exec-oob");
      }
      const info = await lab.ferry(command(2)).succeeded();
      assert(Number((info["ram"] as Record<string, number>)["transferred"]) < 20 * 1024 ** 2);
      await destination.waitForStatus("completed");
      await destination.serial.waitForHeartbeats();
      await destination.stop();
      checkSweep(guest, await destination.readMemory(guest.start, guest.size));
    });

    qemuTest(`A lost link: send goes on once the QEMU is told to recover (${how})`, {
      needs: [version],
    }, async (lab) => {
      const { path, destination, capabilities } = await destinationOf(lab, version, preempt);
      await destination.migrateIncoming(lab.unix("there"));
      const tap = lab.use(new Tap({ to: lab.unix("there"), record: false }));
      const ferry = lab.ferry(["send", tap.uri, "--from", path, ...capabilities, ...SLOW]);
      for (let times = 0; times < 2; times++) {
        await ferry.waitForStatus("postcopy-active");
        await destination.serial.waitForHeartbeats(1);
        tap.cut();
        await ferry.waitForStatus("postcopy-paused");
        await destination.waitForStatus("postcopy-paused");
        await ferry.said(`migrate-recover uri=${tap.uri}`);
        // It tries in vain, and is paused again.
        await ferry.waitForStatus("postcopy-recover");
        await ferry.waitForStatus("postcopy-paused");
        tap.restore();
        const uri = lab.unix("there");
        await destination.execute("migrate-recover", { uri }, "exec-oob");
      }
      await ferry.succeeded();
      await destination.waitForStatus("completed");
      await destination.serial.waitForHeartbeats();
      await destination.stop();
      checkSweep(guest, await destination.readMemory(guest.start, guest.size));
    });

    qemuTest(`A lost link: receive listens again, and the QEMU resumes (${how})`, {
      needs: [version],
    }, async (lab) => {
      const source = await lab.qemu(version, { name: "source", guest });
      await source.serial.waitForHeartbeats(1);
      await source.setCapabilities({ "postcopy-ram": true, "postcopy-preempt": preempt });
      const MIB = 1024 ** 2;
      await source.setParameters({ "max-bandwidth": 4 * MIB, "max-postcopy-bandwidth": MIB });
      const capabilities = ["-c", "postcopy-ram", ...preempt ? ["-c", "postcopy-preempt"] : []];
      const path = lab.path("image");
      const ferry = lab.ferry(["receive", "tcp:127.0.0.1:0", "--save", path, ...capabilities]);
      const uri = await ferry.listening();
      const tap = lab.use(new Tap({ to: uri, record: false }));
      await source.migrate(tap.uri);
      await source.waitForStatus("active");
      await source.execute("migrate-start-postcopy");
      for (let times = 0; times < 2; times++) {
        await ferry.waitForStatus("postcopy-active");
        tap.cut();
        await source.waitForStatus("postcopy-paused");
        assertEquals(await ferry.listening(), uri);
        tap.restore();
        await source.migrate(tap.uri, { resume: true });
        await source.waitForStatus("postcopy-active");
      }
      await source.setParameters({ "max-postcopy-bandwidth": 0 });
      await source.waitForStatus("completed");
      await ferry.succeeded();
      assertStringIncludes(ferry.stderr, `migrate uri=${uri} resume=true`);
      await source.waitForRunState("postmigrate");
      const there = await source.readMemory(guest.start, guest.size);
      const ram = (await loadImage(path)).ram.block("pc.ram")!;
      const here = Uint8Array.from(ram.view(guest.start, guest.size));
      assertEquals(describeDifference(there, here, guest.start), undefined);
      checkSweep(guest, here);
    });
  }
}

/**
 * XBZRLE between Ferry and real QEMUs, both ways.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { changeCapabilities, defaultCapabilities } from "../../src/control/capabilities.ts";
import { ImageTarget } from "../../src/control/image_target.ts";
import { IncomingMigration } from "../../src/control/incoming.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { changeParameters, defaultParameters } from "../../src/control/parameters.ts";
import { Machine } from "../../src/machine/machine.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import { changeSome, numbers } from "../ram/fixtures/xbzrle.ts";
import { describeDifference } from "../support/guest_memory.ts";
import { qemuTest } from "../support/qemu_lab.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { NoneSource } from "./none_source.ts";
import "../support/load_libc.ts";

const MIB = 1024 ** 2;
/** So many pages are to be sent as differences before the migration may end. */
const ENOUGH = 3000;
const VERSIONS = ["10.0", "7.2"] as const;

const capabilities = changeCapabilities(defaultCapabilities(), { xbzrle: true });

for (const version of VERSIONS) {
  qemuTest(`/migration/precopy/unix/xbzrle: QEMU ${version} → Ferry`, {
    needs: [version],
  }, async (lab) => {
    // Sixteen counts in each page.
    const guest = new SweepGuest({ size: 4 * MIB, stride: 256, fill: 128, paceMs: 5 });
    const source = await lab.qemu(version, { name: "source", guest });
    await source.setCapabilities({ xbzrle: true });
    // The cache takes not all of the range.
    await source.setParameters({
      "max-bandwidth": 10 * MIB,
      "downtime-limit": 1,
      "xbzrle-cache-size": 2 * MIB,
    });
    await source.serial.waitForHeartbeats(2);
    const target = new ImageTarget(() => Promise.resolve());
    const incoming = new IncomingMigration(target, {
      uri: parseUri(lab.unix()),
      capabilities: defaultCapabilities(),
      parameters: defaultParameters(),
    });
    await source.migrate(formatUri(await incoming.listening));
    await source.waitForEvent("MIGRATION_PASS", ({ pass }) => Number(pass) >= 8);
    await source.setParameters({ "max-bandwidth": 0, "downtime-limit": 2000 });
    await source.waitForStatus("completed");
    await incoming.completed;
    const info = await source.queryMigrate() as unknown as {
      "xbzrle-cache": Record<string, number>;
    };
    const cache = info["xbzrle-cache"];
    assert(cache.pages! > 100 && cache["cache-miss"]! > 100, JSON.stringify(cache));
    const ram = target.image.ram.block("pc.ram")!;
    const range = new Uint8Array(ram.view(guest.start, guest.size));
    assertEquals(
      describeDifference(range, await source.readMemory(guest.start, guest.size), guest.start),
      undefined,
    );
    checkSweep(guest, range);
  });
}

/** Changes pages of a machine without vCPUs, as long as it runs. */
async function writeWhileRunning(machine: Machine, stop: () => boolean): Promise<void> {
  const random = numbers(42);
  const [block] = machine.ram.blocks;
  while (machine.running && !stop()) {
    for (let i = 0; i < 60; i++) {
      const page = random(block!.pageCount / 4);
      const bytes = block!.view(page * 4096, 4096);
      if (random(50) === 0) bytes.fill(0);
      else changeSome(bytes, random);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

for (const version of VERSIONS) {
  for (const [log, cache] of [["kernel", 64], ["kernel", 4], ["hash", 64]] as const) {
    qemuTest(
      `/migration/precopy/unix/xbzrle: Ferry → QEMU ${version}, cache of ${cache} MiB, log ${log}`,
      {
        needs: [version],
      },
      async (lab) => {
        await using machine = await Machine.create({ name: "none", ram: { ram: 32 * MIB } });
        const block = machine.ram.block("ram")!;
        const random = numbers(1);
        for (let page = 0; page < block.pageCount; page += 2) {
          const bytes = block.view(page * 4096, 4096);
          for (let i = 0; i < 4096; i += 4) bytes[i] = random(256);
        }
        const destination = await lab.qemu(version, {
          ...{ name: "destination", machine: "none", args: ["-m", "32M"] },
          ...{ incoming: lab.unix(), paused: true },
        });
        await machine.start();
        const limited = changeParameters(defaultParameters(), {
          "max-bandwidth": 30 * MIB,
          "downtime-limit": 0,
          "xbzrle-cache-size": cache * MIB,
        });
        let enough = false;
        const migration = new OutgoingMigration(new NoneSource(machine, { version, log }), {
          uri: parseUri(lab.unix()),
          capabilities,
          parameters: limited,
          onEvent: ({ event }) => {
            if (event !== "MIGRATION_PASS") return;
            const figures = migration.info()["xbzrle-cache"];
            if (!figures || figures.pages < ENOUGH || figures["cache-miss"] < 100) return;
            enough = true;
            migration.setParameters({ ...limited, "max-bandwidth": 0, "downtime-limit": 2000 });
          },
        });
        const writing = writeWhileRunning(machine, () => enough);
        const info = await migration.completed;
        await writing;
        await destination.waitForStatus("completed");
        const figures = info["xbzrle-cache"]!;
        assertEquals(figures["cache-size"], cache * MIB);
        assert(figures.overflow > 10 && figures.bytes > 0, JSON.stringify(figures));
        assertEquals(
          describeDifference(
            new Uint8Array(block.view(0, block.length)),
            await destination.readMemory(0, block.length),
            0,
          ),
          undefined,
        );
      },
    );
  }
}

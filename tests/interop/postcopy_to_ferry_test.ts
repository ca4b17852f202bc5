/**
 * A QEMU's machine comes in by postcopy: it is given away first, and the rest of its pages follows.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ImageTarget } from "../../src/control/image_target.ts";
import { probeHost } from "../../src/os/probe.ts";
import type { FaultKind } from "../../src/postcopy/missing_ram.ts";
import { formatUri, parseUri } from "../../src/transport/uri.ts";
import type { Qemu } from "../support/qemu.ts";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import type { QemuVersion } from "../support/qemu_program.ts";
import { HugePages } from "../support/huge_pages.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { Tap } from "../support/tap.ts";
import { assertSameAsSource, Destination } from "./ferry_destination.ts";
import { TouchingTarget } from "./touching_target.ts";
import "../support/load_libc.ts";

const ANY_PORT = parseUri("tcp:127.0.0.1:0");
const KINDS: readonly FaultKind[] = probeHost().missingPages === undefined
  ? ["userfaultfd", "checks"]
  : ["checks"];
const WAYS = KINDS.flatMap((kind) => [[kind, false], [kind, true]] as const);
const MIB = 1024 ** 2;
const guest = new SweepGuest({ size: 24 * MIB, fill: 1024, paceMs: 1 });
/** Slow enough for a switch in the middle of the first round. */
const PRECOPY_BANDWIDTH = 4 * MIB;

const RAM = "32M";
/** As many pages of 2 MiB. */
const HUGE_PAGES = 16;
const lack = HugePages.lack(HUGE_PAGES);

/** @param huge Whether its RAM lies in huge pages. */
async function startSource(
  lab: QemuLab,
  version: QemuVersion,
  capabilities: Readonly<Record<string, boolean>>,
  huge = false,
): Promise<Qemu> {
  if (huge) lab.use(HugePages.take(HUGE_PAGES) as HugePages);
  const kind = `memory-backend-memfd,id=pc.ram,size=${RAM},share=on,hugetlb=on,hugetlbsize=2M`;
  const source = await lab.qemu(version, {
    ...{ name: "source", guest, ram: RAM },
    // Each with its own machine: that decides when and how a QEMU opens and ends the preempt channel.
    machine: `pc-i440fx-${version}${huge ? ",memory-backend=pc.ram" : ""}`,
    args: huge ? ["-object", kind] : [],
  });
  await source.setCapabilities(capabilities);
  await source.setParameters({ "max-bandwidth": PRECOPY_BANDWIDTH });
  await source.serial.waitForHeartbeats(1);
  return source;
}

for (const version of ["10.0", "7.2"] as const) {
  for (const preempt of [false, true]) {
    const path = preempt ? "preempt/" : "";
    qemuTest(
      `/migration/postcopy/${path}plain: QEMU ${version} → Ferry`,
      { needs: [version] },
      async (lab) => {
        const capabilities = { "postcopy-ram": true, "postcopy-preempt": preempt };
        const source = await startSource(lab, version, capabilities);
        const target = new ImageTarget(() => Promise.resolve());
        const destination = lab.use(new Destination(target, capabilities));
        await source.migrate(formatUri(await destination.incoming.listening));
        await source.waitForStatus("active");
        await source.execute("migrate-start-postcopy");
        await source.waitForStatus("completed");
        const info = await destination.incoming.completed;
        assertEquals(info.status, "completed");
        assertEquals(destination.events.entries, [
          ...["setup", "active", "postcopy-device", "postcopy-active", "completed"],
        ]);
        await assertSameAsSource(source, destination, guest);
      },
    );

    for (const [wantedFaults, huge] of WAYS) {
      const skipped = huge && lack !== undefined ? ` (skipped: ${lack})` : "";
      const how = `faults by ${wantedFaults}${huge ? ", RAM in huge pages" : ""}${skipped}`;
      qemuTest(`/migration/postcopy/${path}recovery/plain: QEMU ${version} → Ferry, ${how}`, {
        needs: [version],
        ignore: skipped !== "",
      }, async (lab) => {
        const capabilities = { "postcopy-ram": true, "postcopy-preempt": preempt };
        const source = await startSource(lab, version, capabilities, huge);
        await source.setParameters({ "max-postcopy-bandwidth": MIB });
        const target = lab.use(new TouchingTarget());
        if (huge) target.allow(0);
        const destination = lab.use(
          new Destination(
            target,
            { ...capabilities, "postcopy-blocktime": true },
            { wantedFaults },
          ),
        );
        const { incoming } = destination;
        const tap = lab.use(new Tap({ to: formatUri(await incoming.listening), record: false }));
        await source.migrate(tap.uri);
        await source.waitForStatus("active");
        await source.execute("migrate-start-postcopy");
        const losses = [
          () => tap.cut(),
          () => source.execute("migrate-pause", {}, "exec-oob"),
          () => incoming.pause(),
        ];
        for (const [i, lose] of losses.entries()) {
          const times = i + 1;
          // Of huge pages there are few, and each two that are read are of another one.
          const read = (huge ? 4 : 500) * times;
          if (huge) target.allow(read + 2);
          await target.touchedSome(read);
          assertEquals(incoming.status, "postcopy-active");
          await lose();
          await source.waitForStatus("postcopy-paused");
          await destination.reached("postcopy-paused", times);
          const uri = await incoming.recover(ANY_PORT);
          await source.migrate(formatUri(uri), { resume: true });
          await destination.reached("postcopy-recover", times);
          await source.waitForStatus("postcopy-active");
        }
        target.allow(Infinity);
        await source.setParameters({ "max-postcopy-bandwidth": 0 });
        await source.waitForStatus("completed");
        const info = await incoming.completed;
        await target.touched;
        await assertSameAsSource(source, destination, guest);
        assert((info["postcopy-blocktime"] ?? 0) > 0);
        assert((info["postcopy-latency-p50"] ?? 0) > 0);
        const { ram } = await source.queryMigrate();
        const requests = ram?.["postcopy-requests"] ?? 0;
        assert(requests > (huge ? 5 : 20), `${requests} requests`);
      });
    }
  }
}

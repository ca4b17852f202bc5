/**
 * Machines of QEMUs whose RAM lies in huge pages, by postcopy: each of them comes and is placed as a whole.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ImageSource } from "../../src/control/image_source.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { loadImage } from "../../src/image/load_image.ts";
import { openImage } from "../../src/image/open_image.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { settings } from "../control/fixtures/pair.ts";
import { qemuTest } from "../support/qemu_lab.ts";
import { COMMON_MACHINE } from "../support/qemu_start.ts";
import { describeDifference } from "../support/guest_memory.ts";
import { HugePages } from "../support/huge_pages.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";
import { savedByQemu, Statuses } from "./ferry_source.ts";
import "../support/load_libc.ts";

const guest = new SweepGuest({ size: 12 * 1024 ** 2, fill: 1024, paceMs: 5 });
const RAM = "32M";
const HUGE = 2 * 1024 ** 2;
/** The backend, which gives its block of RAM the name. */
const BLOCK = "ram0";
const machine = `${COMMON_MACHINE},memory-backend=${BLOCK}`;
const backend = (huge: boolean) => [
  "-object",
  `memory-backend-memfd,id=${BLOCK},size=${RAM},share=on,hugetlb=${
    huge ? "on,hugetlbsize=2M" : "off"
  }`,
];

const PAGES = 16;
const missing = HugePages.lack(PAGES);
const words = (name: string) => missing === undefined ? name : `${name} (skipped: ${missing})`;

for (const preempt of [false, true]) {
  for (const [origin, open] of [["in memory", loadImage], ["in a file", openImage]] as const) {
    qemuTest(
      words(
        `An image ${origin} runs at once in huge pages, and is mended there (preempt: ${preempt})`,
      ),
      { needs: ["10.0"], ignore: missing !== undefined },
      async (lab) => {
        lab.use(HugePages.take(PAGES) as HugePages);
        const kind = { machine, ram: RAM };
        const path = await savedByQemu(lab, "10.0", guest, { ...kind, args: backend(false) });
        const destination = await lab.qemu("10.0", {
          ...{ name: "destination", guest, incoming: "defer", ...kind, args: backend(true) },
        });
        const capabilities = { "postcopy-ram": true, "postcopy-preempt": preempt };
        await destination.setCapabilities(capabilities);
        await destination.migrateIncoming(lab.unix("first"));
        const statuses = new Statuses();
        const outgoing = new OutgoingMigration(
          new ImageSource(await open(path), { [BLOCK]: HUGE }),
          {
            uri: parseUri(lab.unix("first")),
            onEvent: statuses.on,
            ...settings(capabilities, { "max-postcopy-bandwidth": 1024 ** 2 }),
          },
        );
        outgoing.startPostcopy();
        await statuses.next("postcopy-active");
        await destination.serial.waitForHeartbeats(1);
        outgoing.pause();
        await statuses.next("postcopy-paused");
        await destination.waitForStatus("postcopy-paused");
        await destination.execute("migrate-recover", { uri: lab.unix("second") }, "exec-oob");
        outgoing.resume(parseUri(lab.unix("second")));
        outgoing.setParameters(settings().parameters);
        const info = await statuses.completed(outgoing);
        await destination.waitForStatus("completed");
        await destination.serial.waitForHeartbeats();
        await destination.stop();
        checkSweep(guest, await destination.readMemory(guest.start, guest.size));
        assert(info.ram!["postcopy-requests"] > 0);
      },
    );
  }
}

for (const told of [true, false]) {
  qemuTest(words(`The command line, ${told ? "" : "not "}told of the destination's huge pages`), {
    needs: ["10.0"],
    ignore: missing !== undefined,
  }, async (lab) => {
    lab.use(HugePages.take(PAGES) as HugePages);
    const kind = { machine, ram: RAM };
    const path = await savedByQemu(lab, "10.0", guest, { ...kind, args: backend(false) });
    const destination = await lab.qemu("10.0", {
      ...{ name: "destination", guest, incoming: "defer", ...kind, args: backend(true) },
    });
    await destination.setCapabilities({ "postcopy-ram": true });
    await destination.migrateIncoming(lab.unix());
    const postcopy = ["-c", "postcopy-ram", "--postcopy-after", "0"];
    const pages = told ? ["--host-page", `${BLOCK}=2M`] : [];
    const ferry = lab.ferry(["send", lab.unix(), "--from", path, ...postcopy, ...pages]);
    const { code, stderr } = await ferry.finished();
    assertEquals(code, told ? 0 : 1, stderr);
    if (told) await destination.serial.waitForHeartbeats();
    else {
      assertStringIncludes(stderr, "The destination");
      assertEquals((await destination.exited).code, 1);
    }
  });
}

qemuTest(words("The command line takes a machine out of huge pages, and puts it back there"), {
  needs: ["10.0"],
  ignore: missing !== undefined,
}, async (lab) => {
  lab.use(HugePages.take(2 * PAGES) as HugePages);
  const kind = { machine, ram: RAM, args: backend(true) };
  const source = await lab.qemu("10.0", { name: "source", guest, ...kind });
  await source.serial.waitForHeartbeats(1);
  await source.setCapabilities({ "postcopy-ram": true });
  await source.setParameters({ "max-bandwidth": 4 * 1024 ** 2 });
  const path = lab.path("image");
  const postcopy = ["-c", "postcopy-ram"];
  const receive = lab.ferry(["receive", "tcp:127.0.0.1:0", "--save", path, ...postcopy]);
  await source.migrate(await receive.listening());
  await source.waitForStatus("active");
  await source.execute("migrate-start-postcopy");
  await source.waitForStatus("completed");
  const kept = await receive.finished();
  assertEquals(kept.code, 0, kept.stderr);

  const destination = await lab.qemu("10.0", {
    ...{ name: "destination", guest, incoming: "defer", ...kind },
  });
  await destination.setCapabilities({ "postcopy-ram": true });
  await destination.migrateIncoming(lab.unix());
  const to = [lab.unix(), "--from", path, ...postcopy, "--postcopy-after", "0"];
  const send = await lab.ferry(["send", ...to, "--host-page", `${BLOCK}=2M`]).finished();
  assertEquals(send.code, 0, send.stderr);
  await destination.serial.waitForHeartbeats();
  await destination.stop();
  checkSweep(guest, await destination.readMemory(guest.start, guest.size));
});

for (const hostPage of ["4096", "2M"]) {
  qemuTest(`Ferry → Ferry, an image by postcopy in pages of ${hostPage}`, {
    needs: ["10.0"],
  }, async (lab) => {
    const path = await savedByQemu(lab, "10.0", guest, { machine, ram: RAM, args: backend(false) });
    const copy = lab.path("copy");
    const postcopy = ["-c", "postcopy-ram"];
    const receive = lab.ferry(["receive", "tcp:127.0.0.1:0", "--save", copy, ...postcopy]);
    const uri = await receive.listening();
    const options = [...postcopy, "--postcopy-after", "0", "--host-page", `${BLOCK}=${hostPage}`];
    const send = await lab.ferry(["send", uri, "--from", path, ...options]).finished();
    assertEquals(send.code, 0, send.stderr);
    const kept = await receive.finished();
    assertEquals(kept.code, 0, kept.stderr);
    const [from, to] = await Promise.all([loadImage(path), loadImage(copy)]);
    for (const block of from.ram.blocks) {
      const there = to.ram.block(block.name)!;
      const bytes = (each: typeof block) => Uint8Array.from(each.view(0, each.length));
      assertEquals(describeDifference(bytes(block), bytes(there), 0), undefined, block.name);
    }
    const again = await lab.qemu("10.0", {
      ...{ name: "again", guest, machine, ram: RAM, args: backend(false) },
      incoming: `file:${copy}`,
    });
    await again.serial.waitForHeartbeats();
  });
}

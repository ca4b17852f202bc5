/**
 * An image goes by postcopy to a QEMU whose RAM lies in huge pages: each of them is placed as a whole.
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

/** Why there are not enough huge pages, if there are not. */
function missingHugePages(): string | undefined {
  const files = ["/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"];
  // Another program looks: Deno itself reads nothing there without all permissions.
  const { success, stdout } = new Deno.Command("cat", { args: files, stderr: "null" }).outputSync();
  if (!success) return "this kernel has no huge pages of 2 MiB";
  const free = Number(new TextDecoder().decode(stdout));
  return free >= 16 ? undefined : `${free} huge pages of 16 are free: see vm.nr_hugepages`;
}

const missing = missingHugePages();
const words = (name: string) => missing === undefined ? name : `${name} (skipped: ${missing})`;

for (const preempt of [false, true]) {
  for (const [origin, open] of [["in memory", loadImage], ["in a file", openImage]] as const) {
    qemuTest(
      words(
        `An image ${origin} runs at once in huge pages, and is mended there (preempt: ${preempt})`,
      ),
      { needs: ["10.0"], ignore: missing !== undefined },
      async (lab) => {
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

/**
 * Streams in files, from an offset on; `command_line_test.ts` has those that begin at the beginning.
 *
 * @module
 */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { assertSameMemory } from "../support/guest_memory.ts";
import { qemuTest } from "../support/qemu_lab.ts";
import { QmpCommandError } from "../support/qmp_client.ts";
import { SweepGuest } from "../support/sweep_guest.ts";

const guest = new SweepGuest({ fill: 1024, paceMs: 5 });
const NEEDS = { needs: ["10.0"] } as const;
const OFFSET = 0x1000;
const MARKER = new Uint8Array(OFFSET).fill("X".charCodeAt(0));

async function assertMarked(path: string): Promise<void> {
  assertEquals((await Deno.readFile(path)).subarray(0, OFFSET), MARKER);
}

qemuTest("/migration/precopy/file/offset: QEMU 10.0 → Ferry → QEMU 10.0", NEEDS, async (lab) => {
  const [first, image, second] = ["first", "image", "second"].map((name) => lab.path(name));
  await Deno.writeFile(first!, MARKER);
  await Deno.writeFile(second!, MARKER);
  const source = await lab.qemu("10.0", { name: "source", guest });
  await source.serial.waitForHeartbeats(1);
  await source.migrateAndWait(`file:${first},offset=${OFFSET}`);
  await assertMarked(first!);
  await lab.ferry(["receive", `file:${first},offset=${OFFSET}`, "--save", image!]).succeeded();
  await lab.ferry(["send", `file:${second},offset=${OFFSET}`, "--from", image!]).succeeded();
  await assertMarked(second!);
  const destination = await lab.qemu("10.0", {
    ...{ name: "destination", guest, paused: true, incoming: `file:${second},offset=${OFFSET}` },
  });
  await destination.waitForStatus("completed");
  await assertSameMemory(source, destination);
});

const BAD = "offset=0x20M";

qemuTest("/migration/precopy/file/offset/bad: QEMU 10.0 → Ferry", NEEDS, async (lab) => {
  const uri = `file:${lab.path("file")},${BAD}`;
  const source = await lab.qemu("10.0", { machine: "none", name: "source" });
  await assertRejects(() => source.migrate(uri), QmpCommandError);
  const { code, stderr } = await lab.ferry(["receive", uri, "--discard"]).finished();
  assertEquals(code, 2);
  assertStringIncludes(stderr, "offset");
});

qemuTest("/migration/precopy/file/offset/bad: Ferry → QEMU 10.0", NEEDS, async (lab) => {
  const uri = `file:${lab.path("file")},${BAD}`;
  const { code, stderr } = await lab.ferry(["send", uri, "--guest", "beat"]).finished();
  assertEquals(code, 2);
  assertStringIncludes(stderr, "offset");
  const destination = await lab.qemu("10.0", {
    ...{ machine: "none", name: "destination", incoming: "defer" },
  });
  await assertRejects(() => destination.migrateIncoming(uri), QmpCommandError);
  await assertRejects(() => Deno.stat(lab.path("file")), Deno.errors.NotFound);
});

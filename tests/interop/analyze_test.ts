/**
 * Streams of QEMUs that run now: every section is taken apart by its description, and RAM is what the
 * QEMU says it is. Where QEMU's script is (`FERRY_ANALYZE_SCRIPT`), its word is taken, too.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { MachineSource } from "../../src/control/machine_source.ts";
import { OutgoingMigration } from "../../src/control/outgoing.ts";
import { Machine } from "../../src/machine/machine.ts";
import { parseUri } from "../../src/transport/uri.ts";
import { settings } from "../control/fixtures/pair.ts";
import { ANALYZED_MACHINES } from "../support/analyzed_machines.ts";
import { QemuLab, qemuTest } from "../support/qemu_lab.ts";
import { QEMU_SCRIPT, runQemuScript } from "../support/qemu_script.ts";
import { saveStream } from "../support/save_stream.ts";
import { analyze } from "../cli/fixtures/analyze.ts";
import { analyzed, memoryOf } from "../analyze/fixtures/analyzed.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { SweepGuest } from "../support/sweep_guest.ts";

for (const [name, { version, target, options, ram }] of Object.entries(ANALYZED_MACHINES)) {
  qemuTest(
    `analyze understands all of a running ${name}`,
    { needs: [version], target },
    async (lab) => {
      const qemu = await lab.qemu(version, { ...options, target });
      const stream = await saveStream(qemu, lab.dir);
      const whole = analyzed(stream);
      assertEquals(whole.analysis.oddities, []);
      for (const { idstr, live, state } of whole.analysis.sections.values()) {
        assert(live || state, idstr);
      }
      if (target === "x86_64") {
        const memory = memoryOf(whole, ram);
        // QEMU may show something else below 1 MiB than RAM: firmware, video memory.
        const { start, size } = options.guest!;
        assertEquals(memory.subarray(start, start + size), await qemu.readMemory(start, size));
      }
    },
  );

  qemuTest(
    `analyze says of a running ${name} what QEMU's script says${
      QEMU_SCRIPT === undefined ? " (skipped: FERRY_ANALYZE_SCRIPT names no script)" : ""
    }`,
    { needs: [version], target, ignore: QEMU_SCRIPT === undefined },
    async (lab) => {
      const qemu = await lab.qemu(version, { ...options, target });
      const image = lab.path("image");
      await Deno.writeFile(image, await saveStream(qemu, lab.dir));
      await assertSameWords(lab, image);
    },
  );
}

/** Whether the page around a byte has zeros only. */
function isZeroPage(bytes: Uint8Array, at: number): boolean {
  const start = at - at % 4096;
  return bytes.subarray(start, start + 4096).every((byte) => byte === 0);
}

async function assertSameWords(lab: QemuLab, image: string): Promise<void> {
  for (const options of [["-d", "state"], ["-d", "desc"], ["-m"]]) {
    const { code, stdout, stderr } = await analyze([image, ...options]);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(JSON.parse(stdout), JSON.parse(await runQemuScript(image, options, lab.dir)));
  }
  const [ours, theirs] = [lab.path("ours"), lab.path("theirs")];
  await Deno.mkdir(theirs);
  const { stdout } = await analyze([image, "-x", ours]);
  await runQemuScript(image, ["-x"], theirs);
  for (const file of stdout.trimEnd().split("\n")) {
    const [a, b] = [
      await Deno.readFile(`${ours}/${file}`),
      await Deno.readFile(`${theirs}/${file}`),
    ];
    assertEquals(a.length, b.length, file);
    // The script leaves a page as it was that came with content and later as zeros.
    const isRight = (byte: number, i: number) => byte === b[i] || (byte === 0 && isZeroPage(a, i));
    assert(a.every(isRight), file);
  }
}

const VALIDATED = { "validate-uuid": true, "x-ignore-shared": true };
const UUID = "11111111-1111-1111-1111-111111111111";

qemuTest("/migration/analyze-script: QEMU 10.0 → Ferry", { needs: ["10.0"] }, async (lab) => {
  const source = await lab.qemu("10.0", { args: ["-uuid", UUID] });
  await source.setCapabilities(VALIDATED);
  const image = lab.path("image");
  await source.migrateAndWait(`file:${image}`);
  const { code, stdout, stderr } = await analyze([image, "--json"]);
  assertEquals([code, stderr], [0, ""]);
  const { uuid, capabilities } = JSON.parse(stdout);
  assertEquals([uuid, capabilities], [UUID, ["x-ignore-shared"]]);
  if (QEMU_SCRIPT !== undefined) await assertSameWords(lab, image);
});

Deno.test({
  name: "/migration/analyze-script: Ferry → QEMU's script",
  ignore: QEMU_SCRIPT === undefined,
  fn: async () => {
    await using lab = await QemuLab.open();
    await using machine = await Machine.create({ name: "m", ram: { ram: 2 ** 20 }, uuid: UUID });
    await machine.start();
    const image = lab.path("image");
    const outgoing = new OutgoingMigration(new MachineSource(machine), {
      uri: parseUri(`file:${image}`),
      ...settings({ "validate-uuid": true }),
    });
    await outgoing.completed;
    await assertSameWords(lab, image);
  },
});

qemuTest(
  "analyze puts XBZRLE pages together as QEMU has them",
  { needs: ["10.0"] },
  async (lab) => {
    const guest = new SweepGuest({ start: 0x100000, size: 0x100000, stride: 512, fill: 64 });
    const qemu = await lab.qemu("10.0", { guest });
    await qemu.serial.waitForHeartbeats(2);
    await qemu.setCapabilities({ xbzrle: true });
    await qemu.setParameters({ "max-bandwidth": 4_000_000, "downtime-limit": 1 });
    const stream = await saveStream(qemu, lab.dir);
    const whole = analyzed(stream);
    const block = whole.analysis.ram!.blocks.find(({ name }) => name === "pc.ram")!;
    assert(block.records.xbzrle > 0);
    const memory = memoryOf(whole, "pc.ram").subarray(guest.start, guest.end);
    assertEquals(memory, await qemu.readMemory(guest.start, guest.size));
    checkSweep(guest, memory);
  },
);

qemuTest("A machine that ran on differs in what its guest wrote and in its devices", {
  needs: ["10.0"],
}, async (lab) => {
  const guest = new SweepGuest({ fill: 64 });
  const qemu = await lab.qemu("10.0", { guest });
  await qemu.serial.waitForHeartbeats(1);
  const [before, after] = [lab.path("before"), lab.path("after")];
  await Deno.writeFile(before, await saveStream(qemu, lab.dir));
  await qemu.cont();
  await qemu.serial.waitForHeartbeats(2);
  await Deno.writeFile(after, await saveStream(qemu, lab.dir));
  const same = await analyze([before, `file:${before}`]);
  assertEquals([same.code, same.stderr], [0, ""]);
  const { code, stdout } = await analyze([before, after, "--json"]);
  assertEquals(code, 1);
  const { machine, blocks, devices } = JSON.parse(stdout);
  assertEquals(machine, []);
  assertEquals(blocks.map(({ block }: { block: string }) => block), ["pc.ram"]);
  assert(blocks[0].pages >= guest.size / 4096);
  assert(devices.some(({ device }: { device: string }) => device === "timer/0"));
});

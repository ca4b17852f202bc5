import { assertEquals } from "@std/assert";
import { ImageSource } from "../../src/control/image_source.ts";
import { MachineImage } from "../../src/image/machine_image.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { ElementType, writeFullSectionHeader, writeSectionFooter } from "../../src/wire/section.ts";
import "../support/load_libc.ts";

const BLOCKS = [{ name: "pc.ram", length: 16 * 4096 }, { name: "rom", length: 4096 }];

function image(): MachineImage {
  return MachineImage.create({ machine: "pc", capabilities: ["multifd"] }, BLOCKS, 2);
}

Deno.test("ImageSource sends what was received, and nothing else", () => {
  const kept = image();
  const [ram, rom] = kept.ram.blocks;
  ram!.received.fill(3, 5, true);
  rom!.received.add(0);
  ram!.view(4 * 4096, 1)[0] = 9;
  const source = new ImageSource(kept);
  source.markAllDirty();
  assertEquals([ram!.dirty.count(), rom!.dirty.count()], [5, 1]);
  assertEquals([ram!.dirty.has(2), ram!.dirty.has(3), ram!.dirty.has(8)], [false, true, false]);
  // A page that was received with content is not taken for one that nobody touched.
  assertEquals(ram!.untouched.has(4), false);
});

Deno.test("ImageSource says of the machine what its stream said", () => {
  const kept = image();
  const source = new ImageSource(kept);
  assertEquals(source.configuration, { machine: "pc", capabilities: ["multifd"] });
  assertEquals(source.blocks, BLOCKS);
  assertEquals([source.ramSectionId, source.running, source.blockers.length], [2, false, 0]);
  assertEquals(source.sendsSwitchoverStart, false);
  kept.hasSwitchoverStart = true;
  assertEquals(new ImageSource(kept).sendsSwitchoverStart, true);
});

Deno.test("ImageSource.saveDevices() gives the sections back byte for byte", () => {
  const kept = image();
  const expected = new ByteWriter();
  for (const sectionId of [4, 7]) {
    const header = {
      type: ElementType.SECTION_FULL,
      sectionId,
      idstr: `device ${sectionId}`,
      instanceId: sectionId * 2,
      versionId: 3,
    } as const;
    const payload = new Uint8Array(sectionId).fill(sectionId);
    kept.sections.push({ header, payload });
    writeFullSectionHeader(expected, header);
    expected.bytes(payload);
    writeSectionFooter(expected, sectionId);
  }
  const writer = new ByteWriter();
  const source = new ImageSource(kept);
  assertEquals(new TextDecoder().decode(source.saveDevices(writer)), "{}");
  assertEquals(writer.take(), expected.take());
  kept.description = new TextEncoder().encode('{"devices": []}');
  assertEquals(source.saveDevices(writer), kept.description);
});

Deno.test("ImageSource has no log, and nothing that could be stopped", async () => {
  const source = new ImageSource(image());
  assertEquals(await source.startDirtyLog(), undefined);
  await Promise.all([
    source.stopDirtyLog(),
    source.stop(),
    source.runOn(),
    source.handedOver(),
  ]);
});

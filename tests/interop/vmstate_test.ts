/**
 * Device state of QEMUs that run now, and the files that they describe themselves with.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { describedSizes } from "../../src/savevm/vm_description_sizes.ts";
import { checkDump } from "../../src/vmstate/compare.ts";
import { parseDump } from "../../src/vmstate/dump.ts";
import { type DeviceJson, jsonText, type VmDescriptionJson } from "../../src/vmstate/vmsd_json.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ElementType, readFullSectionHeader, readSectionFooter } from "../../src/wire/section.ts";
import { qemuTest } from "../support/qemu_lab.ts";
import { findQemu } from "../support/qemu_program.ts";
import { saveStream } from "../support/save_stream.ts";
import { declaredDevices } from "../vmstate/declared_devices.ts";

/** A section header or footer beside the name, in bytes: type, id, name's length, instance, version. */
const FULL_HEADER_SIZE = 1 + 4 + 1 + 4 + 4;
const FOOTER_SIZE = 5;

/** Where the description begins: it ends the stream, and a type and a length stand before it. */
function findDescription(stream: Uint8Array): number {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.length);
  for (let at = stream.length - 1; at >= 5; at--) {
    if (stream[at - 5] !== ElementType.VMDESCRIPTION) continue;
    if (view.getUint32(at - 4) === stream.length - at) return at;
  }
  throw new Error("The stream does not end with a description");
}

for (const version of ["10.0", "7.2"] as const) {
  qemuTest(`Declared devices load and save what a QEMU ${version} sends`, {
    needs: [version],
  }, async (lab) => {
    const qemu = await lab.qemu(version);
    const stream = await saveStream(qemu, lab.path("."));
    const at = findDescription(stream);
    const text = stream.subarray(at);
    const { devices } = JSON.parse(new TextDecoder().decode(text)) as VmDescriptionJson;
    const sizes = describedSizes(text)!;
    const total = sizes.reduce(
      (sum, { idstr, size }) => sum + FULL_HEADER_SIZE + idstr.length + size + FOOTER_SIZE,
      0,
    );
    // The sections stand one after the other before the end mark and the description's header.
    const reader = ByteReader.of(stream.subarray(at - 6 - total, at - 6), at - 6 - total);
    let known = 0;
    for (const [i, { size }] of sizes.entries()) {
      assertEquals(await reader.u8("type"), ElementType.SECTION_FULL);
      const header = await readFullSectionHeader(reader, ElementType.SECTION_FULL);
      const offset = reader.position;
      const payload = await reader.bytes(size, size, header.idstr);
      await readSectionFooter(reader, header.sectionId, header.idstr);
      const device = declaredDevices[header.idstr];
      if (!device || (version === "7.2" && header.idstr === "globalstate")) continue;
      const again = await device.again(ByteReader.of(payload, offset), header.versionId);
      assertEquals(again.bytes, payload.toHex(), header.idstr);
      // 7.2 numbers the last element of an array, too, and calls a field of this one otherwise.
      if (version === "10.0" || !["fdc", "hpet"].includes(header.idstr)) {
        const { name, instance_id } = devices[i] as DeviceJson;
        assertEquals(jsonText({ name, instance_id, ...again.json }), jsonText(devices[i]!));
      }
      known++;
    }
    assert(known >= 15, `${known} of ${devices.length} sections were compared`);
  });

  qemuTest(`checkDump() finds nothing between QEMU ${version}'s -dump-vmstate and itself`, {
    needs: [version],
  }, async (lab) => {
    const program = findQemu(version);
    if (typeof program === "string") throw new Error(program);
    const file = lab.path("dump");
    const args = [...program.dataArgs, "-M", "pc", "-accel", "tcg", "-dump-vmstate", file];
    const { success } = await new Deno.Command(program.path, { args }).output();
    assert(success);
    const dump = parseDump(await Deno.readTextFile(file));
    assert(dump.devices.has("i8042"));
    assertEquals(checkDump(dump, dump, { strict: true }), []);
  });
}

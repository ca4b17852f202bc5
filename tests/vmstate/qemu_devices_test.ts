// Sections that real QEMUs sent: they load, they are saved again as the same bytes, and what we say of
// them in JSON is what QEMU said.
import { assertEquals } from "@std/assert";
import { loadState } from "../../src/vmstate/load_state.ts";
import { jsonText, type VmsdJson } from "../../src/vmstate/vmsd_json.ts";
import { saveState } from "../../src/vmstate/save_state.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { byteByByte, everySplit } from "../support/split_feed.ts";
import { descriptionOf } from "./described_device.ts";
import { GOLDEN_VERSIONS, type GoldenSection, goldenSections } from "./golden.ts";
import { hex } from "./hex.ts";
import { declared, declaredDevices } from "./declared_devices.ts";
import * as devices from "./qemu_devices.ts";

/** Where 7.2 described the same bytes otherwise: it numbered the last element, and named two fields. */
const OTHER_JSON_IN_7_2 = ["fdc", "hpet", "globalstate"];

function deviceJson({ idstr, instanceId }: GoldenSection, json: VmsdJson): string {
  return jsonText({ name: idstr, instance_id: instanceId, ...json });
}

for (const version of GOLDEN_VERSIONS) {
  const sections = await goldenSections(version);

  Deno.test(`Declared devices load and save what QEMU ${version} sent`, async () => {
    let count = 0;
    for (const section of sections) {
      const device = declaredDevices[section.idstr];
      if (!device) continue;
      const reader = ByteReader.of(section.payload);
      const { bytes, json } = await device.again(reader, section.versionId);
      assertEquals(await reader.atEnd(), true, section.idstr);
      assertEquals(bytes, hex(section.payload), section.idstr);
      if (version === "10.0.2" || !OTHER_JSON_IN_7_2.includes(section.idstr)) {
        assertEquals(deviceJson(section, json), section.json);
      }
      count++;
    }
    assertEquals(count, version === "10.0.2" ? 18 : 17);
  });

  Deno.test(`Described devices load and save what QEMU ${version} sent`, async () => {
    for (const section of sections) {
      const original = JSON.parse(section.json) as VmsdJson;
      // A list's elements are not all in the JSON, and two drives that differ are no array.
      if (section.json.includes('"qtailq"') || section.idstr.endsWith("/ide")) continue;
      const description = descriptionOf(original);
      const device = declared(description, () => description.create());
      const { bytes, json } = await device.again(
        ByteReader.of(section.payload),
        section.versionId,
      );
      assertEquals(bytes, hex(section.payload), section.idstr);
      if (version === "10.0.2" || section.idstr !== "fdc") {
        assertEquals(deviceJson(section, json), section.json);
      }
    }
  });
}

Deno.test("Declared devices load byte by byte and cut anywhere", async () => {
  for (const section of await goldenSections("10.0.2")) {
    const device = declaredDevices[section.idstr];
    if (!device) continue;
    const expected = hex(section.payload);
    const one = await device.again(byteByByte(section.payload), section.versionId);
    assertEquals(one.bytes, expected, section.idstr);
    if (section.payload.length > 200) continue;
    for (const { cut, reader } of everySplit(section.payload)) {
      const { bytes } = await device.again(reader, section.versionId);
      assertEquals(bytes, expected, `${section.idstr} cut at ${cut}`);
    }
  }
});

Deno.test("The firmware's variables are what the firmware stored", async () => {
  const sections = await goldenSections("10.0.2");
  const section = sections.find(({ idstr }) => idstr === "uefi-vars-sysbus")!;
  const state = devices.uefiVariables.create();
  await loadState(ByteReader.of(section.payload), devices.uefiVariables, state, 0);
  const names = state.state.variables.map(({ name }) =>
    new TextDecoder("utf-16le").decode(name).replace(/\0$/, "")
  );
  assertEquals(names, [
    "SetupMode",
    "SignatureSupport",
    "SecureBoot",
    "CustomMode",
    "VendorKeysNv",
    "VendorKeys",
  ]);
});

Deno.test("A register of the floating-point unit goes by way of a tmp", async () => {
  const reg = { bits: 0n };
  const bytes = "8000000000000000" + "3fff";
  await loadState(ByteReader.of(Uint8Array.fromHex(bytes)), devices.floatRegister, reg, 0);
  assertEquals(reg.bits, 0x3fff8000000000000000n);
  const writer = new ByteWriter();
  const json = saveState(writer, devices.floatRegister, reg);
  assertEquals(hex(writer.take()), bytes);
  // As it stands in the `cpu` section of a QEMU.
  const sections = await goldenSections("10.0.2");
  const cpu = sections.find(({ idstr }) => idstr === "cpu")!;
  assertEquals(cpu.json.includes(jsonText(json)), true);
});

// Sections that real QEMUs sent: they load, they are saved again as the same bytes, and what we say of
// them in JSON is what QEMU said.
import { assertEquals } from "@std/assert";
import { loadState } from "../../src/vmstate/load_state.ts";
import { jsonText, type VmsdJson } from "../../src/vmstate/vmsd_json.ts";
import { saveState } from "../../src/vmstate/save_state.ts";
import type { VMStateFor } from "../../src/vmstate/vmstate.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { byteByByte, everySplit } from "../support/split_feed.ts";
import { descriptionOf } from "./described_device.ts";
import { GOLDEN_VERSIONS, type GoldenSection, goldenSections } from "./golden.ts";
import { hex } from "./hex.ts";
import * as devices from "./qemu_devices.ts";

/** A declared device and how to make its state. */
interface Declared {
  /** Loads the section, saves the state, and says what it is. */
  again(reader: ByteReader, versionId: number): Promise<{ bytes: string; json: VmsdJson }>;
}

function declared<S extends object>(description: VMStateFor<S>, create: () => S): Declared {
  return {
    async again(reader, versionId) {
      const state = create();
      await loadState(reader, description, state, versionId);
      const writer = new ByteWriter();
      const json = saveState(writer, description, state);
      return { bytes: hex(writer.take()), json };
    },
  };
}

/** A `create` of a plain description, with values that the stream must agree with. */
const byIdstr: Readonly<Record<string, Declared>> = {
  "timer": declared(devices.timers, () => devices.timers.create()),
  "cpu_common": declared(devices.cpuCommon, () => devices.cpuCommon.create()),
  "globalstate": declared(devices.globalState, () => devices.globalState.create()),
  "PCIBUS": declared(devices.pciBus, () => devices.pciBus.create()),
  "i8259": declared(devices.pic, () => devices.pic.create()),
  "i8254": declared(devices.pit, () => devices.pit.create()),
  "fw_cfg": declared(devices.fwCfg, () => devices.fwCfg.create()),
  "mc146818rtc": declared(devices.rtc, () => devices.rtc.create()),
  "hpet": declared(devices.hpet, () => devices.hpet.create()),
  "serial": declared(devices.serial, () => devices.serial.create()),
  "fdc": declared(devices.floppy, () => {
    const state = devices.floppy.create();
    state.state.num_floppies = 2;
    return state;
  }),
  "pckbd": declared(devices.keyboard, () => devices.keyboard.create()),
  "dma": declared(devices.dma, () => devices.dma.create()),
  "pcspk": declared(devices.speaker, () => devices.speaker.create()),
  "i2c_bus": declared(devices.i2cBus, () => devices.i2cBus.create()),
  "uefi-vars-sysbus": declared(devices.uefiVariables, () => devices.uefiVariables.create()),
};

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
      const device = byIdstr[section.idstr];
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
    const device = byIdstr[section.idstr];
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

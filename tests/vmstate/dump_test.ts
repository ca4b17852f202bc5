import { assertEquals, assertThrows } from "@std/assert";
import { StreamFormatError } from "../../src/errors.ts";
import { array, varray } from "../../src/vmstate/arrays.ts";
import { buffer, unused, vbuffer } from "../../src/vmstate/buffers.ts";
import { dumpDescription, dumpMachine, dumpText, parseDump } from "../../src/vmstate/dump.ts";
import { qtailq } from "../../src/vmstate/lists.ts";
import { uint16, uint32, uint8 } from "../../src/vmstate/scalars.ts";
import { struct } from "../../src/vmstate/structs.ts";
import { validate } from "../../src/vmstate/unbound.ts";
import { vmstate } from "../../src/vmstate/vmstate.ts";
import { goldenDump } from "./golden.ts";

const point = vmstate("point", { fields: { x: uint8(), y: uint16({ since: 1 }) } });
const radio = vmstate("car/radio", { fields: { volume: uint8() } });
const car = vmstate("car", {
  version: 3,
  minimumVersion: 2,
  fields: {
    at: struct(point),
    n: uint32(),
    wheels: array(struct(point), 4, { since: 3 }),
    plate: buffer(8, { exists: () => true }),
    trail: varray(uint16(), { count: "n", max: 9 }),
    notes: vbuffer({ size: "n", multiply: 2, max: 18 }),
    riders: qtailq(point, { max: 9, since: 1 }),
    $spare: unused(3),
    $sane: validate(() => true),
  },
  subsections: [radio],
});

const pointDump = {
  name: "point",
  version_id: 1,
  minimum_version_id: 0,
  Fields: [
    { field: "x", version_id: 0, field_exists: false, size: 1 },
    { field: "y", version_id: 1, field_exists: false, size: 2 },
  ],
};

Deno.test("dumpDescription() says what -dump-vmstate says", () => {
  assertEquals(dumpDescription(car), {
    name: "car",
    version_id: 3,
    minimum_version_id: 2,
    Fields: [
      { field: "at", version_id: 0, field_exists: false, size: 3, Description: pointDump },
      { field: "n", version_id: 0, field_exists: false, size: 4 },
      {
        field: "wheels",
        version_id: 3,
        field_exists: false,
        num: 4,
        size: 3,
        Description: pointDump,
      },
      { field: "plate", version_id: 0, field_exists: true, size: 8 },
      { field: "trail", version_id: 0, field_exists: false, size: 2 },
      { field: "notes", version_id: 0, field_exists: false, size: 2 },
      { field: "riders", version_id: 1, field_exists: false, size: 0, Description: pointDump },
      { field: "unused", version_id: 0, field_exists: false, size: 3 },
    ],
    Subsections: [{
      name: "car/radio",
      version_id: 1,
      minimum_version_id: 0,
      Fields: [{ field: "volume", version_id: 0, field_exists: false, size: 1 }],
    }],
  });
});

Deno.test("parseDump() reads what dumpText() writes", () => {
  const dump = dumpMachine("room-17", { "a-car": car, "a-point": point });
  const text = dumpText(dump);
  assertEquals(parseDump(text), dump);
  assertEquals(text.startsWith('{\n  "vmschkmachine": {\n    "Name": "room-17"\n  },\n'), true);
  assertEquals(dump.devices.get("a-car")?.minimum_version_id, 2);
});

for (const version of ["10.0.2", "7.2.22"] as const) {
  Deno.test(`parseDump() reads what QEMU ${version} writes, and dumpText() writes the same`, async () => {
    const text = await goldenDump(version);
    const dump = parseDump(text);
    assertEquals(dump.machine, "pc-i440fx-7.2");
    assertEquals(dump.devices.size > 200, true);
    assertEquals(JSON.parse(dumpText(dump)), JSON.parse(text));
  });
}

Deno.test("parseDump() says what is wrong with a file", () => {
  const device = { Name: "d", version_id: 1, minimum_version_id: 1 };
  const description = { name: "d", version_id: 1, minimum_version_id: 1 };
  for (
    const [file, why] of [
      ["not json", "Not JSON, as -dump-vmstate writes it"],
      ["[]", "the file is no object"],
      ['{"d": 7}', "d is no object"],
      ['{"vmschkmachine": {}}', "vmschkmachine.Name is no text"],
      [JSON.stringify({ d: { ...device, version_id: "1" } }), "d.version_id is no number"],
      [
        JSON.stringify({ d: { ...device, Description: { ...description, Fields: {} } } }),
        "d.Description.Fields is no list",
      ],
      [
        JSON.stringify({ d: { ...device, Description: { ...description, Fields: [{}] } } }),
        "d.Description.Fields[0].field is no text",
      ],
    ] as const
  ) {
    assertThrows(() => parseDump(file), StreamFormatError, why);
  }
});

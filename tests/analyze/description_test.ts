import { assert, assertEquals, assertThrows } from "@std/assert";
import { deviceKey, findDescription, parseDescription } from "../../src/analyze/description.ts";
import { StreamFormatError } from "../../src/errors.ts";
import { readGolden } from "../support/golden.ts";
import { fileOf, pipeOf } from "./fixtures/memory_bytes.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

function framed(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(5 + text.length);
  bytes[0] = 6;
  new DataView(bytes.buffer).setUint32(1, text.length);
  bytes.set(bytesOf(text), 5);
  return bytes;
}

for (const name of ["pc-10.0", "pc-7.2", "none-7.2", "mapped-ram-10.0"]) {
  Deno.test(`findDescription() finds that of ${name}`, async () => {
    const stream = await readGolden(name);
    const found = findDescription(fileOf(stream))!;
    assertEquals(found.offset + found.length, stream.length);
    assertEquals(found.pageSize, 4096);
    assert(found.devices.has(deviceKey("globalstate", 0)));
    assertEquals(found.deviceCount, found.devices.size);
    assertEquals(found.configuration !== undefined, name.endsWith("10.0"));
  });
}

Deno.test("findDescription() finds it before other bytes, too, and nothing where there is none", async () => {
  const stream = await readGolden("none-10.0");
  const longer = new Uint8Array(stream.length + 3_000_000);
  longer.set(stream);
  assertEquals(findDescription(fileOf(longer))?.offset, findDescription(fileOf(stream))?.offset);
  assertEquals(findDescription(fileOf(await readGolden("postcopy-10.0"))), undefined);
  assertEquals(findDescription(fileOf(new Uint8Array(0))), undefined);
  assertEquals(findDescription(pipeOf(stream)), undefined);
});

Deno.test("findDescription() finds one whose frame lies across two windows", () => {
  const frame = framed('{"devices": [], "page_size": 4096}');
  for (let behind = 1024 * 1024 - 50; behind < 1024 * 1024 + 10; behind++) {
    const file = new Uint8Array(frame.length + behind);
    file.set(frame);
    assertEquals(findDescription(fileOf(file))?.offset, 5);
  }
});

Deno.test("parseDescription() understands fields, structs and subsections", () => {
  const field = { name: "f", type: "uint8", size: 1, array_len: 3 };
  const struct = { fields: [field] };
  const device = {
    name: "d",
    instance_id: 2,
    fields: [{ name: "s", type: "struct", size: 3, struct }, { name: "b", size: 0 }],
    subsections: [{ vmsd_name: "d/more", fields: [] }],
  };
  const { devices } = parseDescription(bytesOf(JSON.stringify({ devices: [device] })), 0);
  const none = { arrayLength: undefined, struct: undefined };
  const described = { name: "f", type: "uint8", size: 1, arrayLength: 3, struct: undefined };
  assertEquals(devices.get("d/2"), {
    fields: [
      {
        ...none,
        ...{ name: "s", type: "struct", size: 3 },
        struct: { fields: [described], subsections: [] },
      },
      { ...none, name: "b", type: "unknown", size: 0 },
    ],
    subsections: [{ name: "d/more", fields: [], subsections: [] }],
  });
});

Deno.test("parseDescription() takes the last of several devices of one name, and tells", () => {
  const device = (size: number) =>
    `{"name": "d", "instance_id": 0, "fields": [{"name": "f", "type": "buffer", "size": ${size}}]}`;
  const text = `{"devices": [${device(1)}, ${device(2)}]}`;
  const { devices, repeated, deviceCount } = parseDescription(bytesOf(text), 0);
  assertEquals([devices.get("d/0")?.fields[0]?.size, repeated, deviceCount], [2, ["d/0"], 2]);
});

const nested = (depth: number) => '{"struct": '.repeat(depth) + "1" + "}".repeat(depth);
const ofFields = (fields: string) => `{"devices": [{"name": "d", "instance_id": 0, ${fields}}]}`;
const deepStruct = (depth: number): string =>
  depth === 0
    ? '{"fields": []}'
    : `{"fields": [{"name": "s", "type": "struct", "size": 0, "struct": ${
      deepStruct(depth - 1)
    }}]}`;

for (
  const [text, message] of Object.entries({
    "{": "not JSON",
    "[]": "the description is no object",
    "{}": "devices is no list",
    '{"devices": [1]}': "devices[0] is no object",
    '{"devices": [], "page_size": 1000}': "page of 1000 bytes",
    '{"devices": [{"name": "d"}]}': 'the instance of device "d" is undefined',
    [ofFields('"x": 0')]: 'list of fields of device "d" is no list',
    [ofFields('"fields": [{"name": "f"}]')]: 'size of f of device "d" is undefined',
    [ofFields('"fields": [{"name": "f", "size": -1}]')]: "is -1, no count",
    [ofFields('"fields": [{"name": "f", "size": 1.5}]')]: "is 1.5, no count",
    [ofFields('"fields": [{"name": "f", "size": 1e300}]')]: "no count",
    [ofFields('"fields": [{"name": "f", "size": 1, "array_len": "9"}]')]: 'is "9", no count',
    [ofFields('"fields": [{"name": "f", "size": 1, "type": "struct"}]')]:
      "structure of f of device",
    [`{"devices": [], "x": ${nested(100_000)}}`]: "nests more than 256 deep",
    [ofFields(deepStruct(70).slice(1, -1))]: 'device "d" nest more than 64 deep',
  })
) {
  Deno.test(`parseDescription() refuses ${text.slice(0, 60)}`, () => {
    const error = assertThrows(
      () => parseDescription(bytesOf(text), 5000),
      StreamFormatError,
      message,
    );
    assertEquals(error.place.section, "the description");
    assert(error.place.offset! >= 5000);
  });
}

Deno.test("parseDescription() takes braces in names for what they are", () => {
  const name = '{[\\"'.repeat(300);
  assertEquals(parseDescription(bytesOf(`{"devices": [], "${name}": 1}`), 0).deviceCount, 0);
});

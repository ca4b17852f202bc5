import { assertEquals } from "@std/assert";
import { configurationJson } from "../../src/control/configuration_json.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { writeConfiguration } from "../../src/wire/configuration.ts";

/** What QEMU 10.0 wrote of its machine `none` with these two. */
const QEMU = `{"vmsd_name": "configuration", "version": 1, "fields": [
  {"name": "len", "type": "uint32", "size": 4}, {"name": "name", "type": "buffer", "size": 4}],
 "subsections": [
  {"vmsd_name": "configuration/capabilities", "version": 1, "fields": [
   {"name": "caps_count", "type": "uint32", "size": 4},
   {"name": "capabilities", "type": "capability", "size": 16}]},
  {"vmsd_name": "configuration/uuid", "version": 1, "fields": [
   {"name": "uuid.data", "array_len": 16, "type": "uint8", "size": 1}]}]}`;

const uuid = new Uint8Array(16).fill(0x11);

Deno.test("configurationJson() says what QEMU says", () => {
  const configuration = { machine: "none", capabilities: ["x-ignore-shared"], uuid };
  assertEquals(configurationJson(configuration), JSON.parse(QEMU));
});

Deno.test("configurationJson() describes each byte that is written, and nothing else", () => {
  const configurations = [
    { machine: "m" },
    { machine: "m", targetPageBits: 14 },
    { machine: "ü", capabilities: ["x-ignore-shared", "mapped-ram"], uuid },
  ];
  for (const configuration of configurations) {
    const writer = new ByteWriter();
    writeConfiguration(writer, configuration);
    const { fields, subsections = [] } = configurationJson(configuration);
    const sum = (all: typeof fields) =>
      all.reduce((total, { size, array_len: count = 1 }) => total + size * count, 0);
    // A byte for the element's type; for a subsection, that, its counted name and its version.
    const described = 1 + sum(fields) +
      subsections.reduce((total, each) => total + 6 + each.vmsd_name.length + sum(each.fields), 0);
    assertEquals(described, writer.take().length);
  }
});

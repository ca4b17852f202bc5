import { assertEquals, assertThrows } from "@std/assert";
import { readConfiguration } from "../../src/analyze/configuration.ts";
import type { DescribedState } from "../../src/analyze/description.ts";
import { StreamInput } from "../../src/analyze/input.ts";
import { MigrationError } from "../../src/errors.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { writeConfiguration } from "../../src/wire/configuration.ts";

function read(writer: ByteWriter, described?: DescribedState) {
  return readConfiguration(StreamInput.of(writer.take().subarray(1)), described);
}

Deno.test("readConfiguration() reads what writeConfiguration() writes", () => {
  const writer = new ByteWriter();
  const uuid = Uint8Array.from({ length: 16 }, (_, i) => i);
  const configuration = { machine: "virt", targetPageBits: 12, capabilities: ["a", "b"], uuid };
  writeConfiguration(writer, configuration);
  assertEquals(read(writer), configuration);
  writeConfiguration(writer, { machine: "none" });
  assertEquals(read(writer), {
    ...{ machine: "none", capabilities: [], targetPageBits: undefined, uuid: undefined },
  });
});

Deno.test("readConfiguration() passes over a subsection that is described, and refuses others", () => {
  const write = () => {
    const writer = new ByteWriter();
    writeConfiguration(writer, { machine: "m" });
    return writer.u8(5).countedString("configuration/new").be32(1).be32(77);
  };
  const field = { name: "f", type: "uint32", size: 4, arrayLength: undefined, struct: undefined };
  const subsection = { name: "configuration/new", fields: [field], subsections: [] };
  assertEquals(read(write(), { fields: [], subsections: [subsection] }).machine, "m");
  assertThrows(() => read(write()), MigrationError, "Unknown configuration subsection");
});

Deno.test("readConfiguration() refuses sizes that cannot be", () => {
  const long = new ByteWriter().u8(7).be32(0xffffffff);
  assertThrows(() => read(long), MigrationError, "4096 allowed");
  const bits = new ByteWriter().u8(7).be32(0).u8(5).countedString("configuration/target-page-bits");
  assertThrows(() => read(bits.be32(1).be32(40)), MigrationError, "2^40");
  const many = new ByteWriter().u8(7).be32(0).u8(5).countedString("configuration/capabilities");
  assertThrows(() => read(many.be32(1).be32(1e9)), MigrationError, "1000000000 capabilities");
});

import { assertEquals } from "@std/assert";
import { StreamFormatError } from "../../src/errors.ts";
import type { ByteReader } from "../../src/wire/byte_reader.ts";
import {
  ElementType,
  type FullSectionHeader,
  readFullSectionHeader,
  readSectionFooter,
  SECTION_FOOTER_SIZE,
  writeFullSectionHeader,
  writeSectionFooter,
  writeShortSectionHeader,
} from "../../src/wire/section.ts";
import { assertReads, assertRefuses, fromHex, text, written } from "./vectors.ts";

const START = "01 00000001 03 72616d 00000000 00000004";
const FULL = `04 fffffffe 0f ${text("0000:00:02.0/vg")} 00000002 0000000c`;
const HEADERS: readonly (readonly [string, FullSectionHeader])[] = [
  [START, { type: 1, sectionId: 1, idstr: "ram", instanceId: 0, versionId: 4 }],
  [
    FULL,
    { type: 4, sectionId: 0xfffffffe, idstr: "0000:00:02.0/vg", instanceId: 2, versionId: 12 },
  ],
];

for (const [hex, header] of HEADERS) {
  Deno.test(`The header of ${header.idstr} is what QEMU sends, both ways`, async () => {
    assertEquals(
      written((writer) => writeFullSectionHeader(writer, header)),
      fromHex(hex).toHex(),
    );
    await assertReads(hex, async (reader) => {
      const type = await reader.u8("the type") as FullSectionHeader["type"];
      return await readFullSectionHeader(reader, type);
    }, header);
  });
}

Deno.test("readFullSectionHeader() refuses a section without a name, and one that is not text", async () => {
  const read = async (reader: ByteReader) => {
    await reader.u8("the type");
    return await readFullSectionHeader(reader, ElementType.SECTION_FULL);
  };
  await assertRefuses("04 00000001 00", read, StreamFormatError, "Section without a name");
  await assertRefuses("04 00000001 01 ff", read, StreamFormatError, "not text", 5);
});

Deno.test("writeShortSectionHeader() is the type and the id", () => {
  const write = (type: 2 | 3, id: number) =>
    written((writer) => writeShortSectionHeader(writer, type, id));
  assertEquals(write(ElementType.SECTION_PART, 1), "0200000001");
  assertEquals(write(ElementType.SECTION_END, 0xffffffff), "03ffffffff");
});

Deno.test("A footer repeats the section's id, both ways", async () => {
  const hex = written((writer) => writeSectionFooter(writer, 0x80000001));
  assertEquals(hex, "7e80000001");
  assertEquals(hex.length / 2, SECTION_FOOTER_SIZE);
  await assertReads(hex, (reader) => readSectionFooter(reader, 0x80000001, "vga/0"), undefined);
});

Deno.test("readSectionFooter() names the section that ends in the wrong place", async () => {
  const read = (reader: ByteReader) => readSectionFooter(reader, 1, "vga/0");
  await assertRefuses("04 00000001", read, StreamFormatError, "found 0x04, not 0x7e");
  await assertRefuses("7e 00000002", read, StreamFormatError, "Section footer with id 2, not 1");
  await assertRefuses("7e 00000100", read, StreamFormatError, "section vga/0");
});

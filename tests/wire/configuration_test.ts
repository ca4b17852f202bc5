import { assertEquals } from "@std/assert";
import { StreamFormatError } from "../../src/errors.ts";
import type { ByteReader } from "../../src/wire/byte_reader.ts";
import {
  type Configuration,
  hasCapability,
  readConfiguration,
  withCapability,
  writeConfiguration,
} from "../../src/wire/configuration.ts";
import { assertRefuses, fromHex, text, written } from "./vectors.ts";
import { byteByByte, everySplit } from "../support/split_feed.ts";

const UUID = fromHex("000102030405060708090a0b0c0d0e0f");

/** Configurations as QEMU sends them. */
const VECTORS: readonly (readonly [Configuration, string])[] = [
  [{ machine: "none" }, "07 00000004 6e6f6e65"],
  [{ machine: "" }, "07 00000000"],
  [
    { machine: "virt", targetPageBits: 12 },
    `07 00000004 ${text("virt")} 05 1e ${text("configuration/target-page-bits")} 00000001 0000000c`,
  ],
  [
    { machine: "pc", capabilities: ["x-ignore-shared"], uuid: UUID },
    `07 00000002 ${text("pc")} 05 1a ${text("configuration/capabilities")} 00000001 00000001 ` +
    `0f ${text("x-ignore-shared")} 05 12 ${text("configuration/uuid")} 00000001 ${UUID.toHex()}`,
  ],
];

for (const [configuration, hex] of VECTORS) {
  Deno.test(`The configuration of "${configuration.machine}" is what QEMU sends, both ways`, async () => {
    const bytes = fromHex(hex);
    assertEquals(
      written((writer) => writeConfiguration(writer, configuration)),
      bytes.toHex(),
    );
    // Its end is where no further subsection follows.
    const more = new Uint8Array([...bytes, 0x01]);
    const readers = [byteByByte(more), ...[...everySplit(more)].map(({ reader }) => reader)];
    for (const reader of readers) {
      assertEquals(await readConfiguration(reader), configuration);
      assertEquals(reader.position, bytes.length);
    }
  });
}

Deno.test("writeConfiguration() leaves out capabilities that there are none of", () => {
  assertEquals(
    written((writer) => writeConfiguration(writer, { machine: "none", capabilities: [] })),
    written((writer) => writeConfiguration(writer, { machine: "none" })),
  );
});

const NONE = `07 00000004 ${text("none")}`;
const capabilities = (count: string) =>
  `${NONE} 05 1a ${text("configuration/capabilities")} 00000001 ${count}`;
const pageBits = (bits: string) =>
  `${NONE} 05 1e ${text("configuration/target-page-bits")} 00000001 ${bits}`;

/** What is refused, why, and where. */
const REFUSED: readonly (readonly [string, string, number])[] = [
  ["01", "Configuration section missing: found 0x01, not 0x07", 0],
  ["00", "found 0x00", 0],
  ["07 ffffffff", "The machine's name of 4294967295 bytes", 5],
  ["07 00001001", "The machine's name of 4097 bytes", 5],
  ["07 00000002 c328", "The machine's name is not text", 0],
  [`${NONE} 05 04 ${text("nope")} 00000001`, 'Unknown configuration subsection "nope"', 9],
  [`${NONE} 05 00 00000001`, 'Unknown configuration subsection ""', 9],
  [`${NONE} 05 12 ${text("configuration/uuid")} 00000002`, "version 2", 9],
  [capabilities("00000101"), "257 capabilities", 41],
  [capabilities("ffffffff"), "4294967295 capabilities", 41],
  [pageBits("00000009"), "2^9 bytes", 45],
  [pageBits("00000011"), "2^17 bytes", 45],
  [pageBits("ffffffff"), "2^4294967295 bytes", 45],
];

for (const [hex, message, offset] of REFUSED) {
  Deno.test(`readConfiguration() refuses: ${message}`, async () => {
    const read = (reader: ByteReader) => readConfiguration(reader);
    await assertRefuses(hex, read, StreamFormatError, message, offset);
  });
}

Deno.test("withCapability() names a capability once or not at all, and leaves the others", () => {
  const none = { machine: "m" };
  const one = { machine: "m", capabilities: ["x-ignore-shared"] };
  const both = { machine: "m", capabilities: ["x-ignore-shared", "mapped-ram"] };
  assertEquals(withCapability(none, "mapped-ram", true), {
    machine: "m",
    capabilities: ["mapped-ram"],
  });
  assertEquals(withCapability(one, "mapped-ram", true), both);
  assertEquals(withCapability(both, "mapped-ram", true), both);
  assertEquals(withCapability(both, "mapped-ram", false), one);
  assertEquals(withCapability(one, "x-ignore-shared", false), none);
  assertEquals(withCapability(none, "mapped-ram", false), none);
  const has = [none, one, both].map((each) => hasCapability(each, "mapped-ram"));
  assertEquals(has, [false, false, true]);
});

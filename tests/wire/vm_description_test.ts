import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import {
  readVmDescription,
  VM_DESCRIPTION_MAX,
  writeVmDescription,
} from "../../src/wire/vm_description.ts";
import { assertRefuses, fromHex, written } from "./vectors.ts";
import { byteByByte, everySplit } from "../support/split_feed.ts";

const JSON_TEXT = new TextEncoder().encode("{}");
const HEX = "06 00000002 7b7d";

Deno.test("The description is its length and its text, both ways", async () => {
  assertEquals(written((writer) => writeVmDescription(writer, JSON_TEXT)), fromHex(HEX).toHex());
  const bytes = fromHex(HEX);
  for (const reader of [byteByByte(bytes), ...[...everySplit(bytes)].map((each) => each.reader)]) {
    assertEquals(await readVmDescription(reader), JSON_TEXT);
  }
  for (let length = 1; length < bytes.length; length++) {
    const reader = ByteReader.of(bytes.subarray(0, length));
    await assertRejects(() => readVmDescription(reader), ConnectionLostError);
  }
});

Deno.test("readVmDescription() does without one, and leaves what is there instead", async () => {
  assertEquals(await readVmDescription(ByteReader.of(new Uint8Array(0))), undefined);
  const other = ByteReader.of(fromHex("51"));
  assertEquals(await readVmDescription(other), undefined);
  assertEquals(other.position, 0);
});

Deno.test("readVmDescription() refuses a length above its cap", async () => {
  const hex = written((writer) => writer.u8(6).be32(VM_DESCRIPTION_MAX + 1));
  await assertRefuses(hex, readVmDescription, StreamFormatError, "The description of", 5);
});

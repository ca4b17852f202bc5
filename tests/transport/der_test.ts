import { assert, assertEquals, assertThrows } from "@std/assert";
import { DerError, DerReader, oidText, Tag } from "../../src/transport/der.ts";

const bytes = (hex: string) => Uint8Array.fromHex(hex.replaceAll(" ", ""));

Deno.test("DerReader reads values, enters sequences and passes over what is optional", () => {
  const reader = new DerReader(bytes("30 08 02 01 05 04 03 61 62 63 05 00"));
  const sequence = reader.enter(Tag.SEQUENCE);
  assertEquals(sequence.optional(Tag.OID), undefined);
  assertEquals([...sequence.read(Tag.INTEGER).bytes], [5]);
  assertEquals(sequence.tag, Tag.OCTET_STRING);
  const text = sequence.read();
  assertEquals([text.tag, new TextDecoder().decode(text.bytes)], [Tag.OCTET_STRING, "abc"]);
  assertEquals(text.whole.toHex(), "0403616263");
  sequence.end();
  assert(!reader.done);
  assertThrows(() => reader.end(), DerError, "follows");
  assertEquals(reader.read().bytes.length, 0);
  reader.end();
});

Deno.test("DerReader reads long lengths, in their one spelling only", () => {
  const long = new Uint8Array([0x04, 0x81, 200, ...new Uint8Array(200)]);
  assertEquals(new DerReader(long).read().bytes.length, 200);
  const longer = new Uint8Array([0x04, 0x82, 1, 0, ...new Uint8Array(256)]);
  assertEquals(new DerReader(longer).read().bytes.length, 256);
  const refused = {
    "04 81 01 00": "padded", // fits one byte
    "04 82 00 c8": "padded",
    "04 80": "length of 0 bytes", // indefinite
    "04 85 01 00 00 00 00": "length of 5 bytes",
    "1f 01 00": "tag of several bytes",
    "04 02 00": "passes the end",
    "04": "cut off",
    "": "cut off",
    "04 82 ff": "passes the end",
  };
  for (const [hex, why] of Object.entries(refused)) {
    assertThrows(() => new DerReader(bytes(hex)).read(), DerError, why, hex);
  }
  assertThrows(() => new DerReader(bytes("02 01 05")).enter(Tag.SEQUENCE), DerError, "Tag 0x2");
});

Deno.test("oidText() gives the numbers", () => {
  assertEquals(oidText(bytes("55 04 03")), "2.5.4.3");
  assertEquals(oidText(bytes("2a 86 48 86 f7 0d 01 01 0b")), "1.2.840.113549.1.1.11");
  assertEquals(oidText(bytes("88 37")), "2.999");
  assertEquals(oidText(bytes("2b")), "1.3");
  assertThrows(() => oidText(bytes("")), DerError, "empty");
  assertThrows(() => oidText(bytes("55 84")), DerError, "cut off");
});

import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { ByteReader, decodeText } from "../../src/wire/byte_reader.ts";
import { byteByByte } from "../support/split_feed.ts";
import { assertReads, assertRefuses, fromHex, text } from "./vectors.ts";

Deno.test("ByteReader reads QEMU's primitives at any split", async () => {
  await assertReads("fe", (reader) => reader.u8("it"), 0xfe);
  await assertReads("0102", (reader) => reader.be16("it"), 0x0102);
  await assertReads("fffefdfc", (reader) => reader.be32("it"), 0xfffefdfc);
  await assertReads("fffffffffffffffe", (reader) => reader.be64("it"), 2n ** 64n - 2n);
  await assertReads("001fffffffffffff", (reader) => reader.size64("it"), Number.MAX_SAFE_INTEGER);
  await assertReads("02c3a9", (reader) => reader.countedString("it"), "é");
  await assertReads("00", (reader) => reader.countedString("it"), "");
  await assertReads("010203", (reader) => reader.bytes(3, 3, "it"), Uint8Array.of(1, 2, 3));
  await assertReads("010203", (reader) => reader.skip(3, "it"), undefined);
});

Deno.test("ByteReader.size64() refuses what no size can be", async () => {
  const read = (reader: ByteReader) => reader.size64("A length");
  await assertRefuses("0020000000000000", read, StreamFormatError, "A length of 9007199254740992");
  await assertRefuses("ffffffffffffffff", read, StreamFormatError, "absurd");
});

Deno.test("ByteReader.bytes() refuses what is above the cap before it waits for it", async () => {
  for (const count of [4, 0xffffffff, Infinity]) {
    await assertRefuses(
      "01",
      (reader) => reader.bytes(count, 3, "A name"),
      StreamFormatError,
      `A name of ${count} bytes: at most 3`,
    );
  }
});

Deno.test("ByteReader.countedString() refuses what is not text, at its beginning", async () => {
  const read = async (reader: ByteReader) => {
    await reader.skip(2, "two");
    return await reader.countedString("A name");
  };
  for (const bytes of ["01ff", "02c328", "03e28028", "04f0288c28", "02c080", "03eda080"]) {
    await assertRefuses(`0000${bytes}`, read, StreamFormatError, "A name is not text", 2);
  }
});

Deno.test("ByteReader says how much of a value had come when the stream ended", async () => {
  for (const reader of [ByteReader.of(fromHex("0102030405")), byteByByte(fromHex("0102030405"))]) {
    await reader.u8("a byte");
    const error = await assertRejects(
      () => reader.bytes(100, 100, "a page"),
      ConnectionLostError,
    );
    assertEquals(error.what, "The stream ended inside a page: 4 of 100 bytes");
  }
  const error = await assertRejects(
    () => ByteReader.of(fromHex("0102"), 1000).be32("a length"),
    ConnectionLostError,
  );
  assertEquals(error.message, "The stream ended inside a length: 2 of 4 bytes (at offset 0x3e8)");
});

Deno.test("ByteReader.peekU8() and atEnd() wait, and consume nothing", async () => {
  for (const reader of [ByteReader.of(fromHex("07")), byteByByte(fromHex("07"))]) {
    assertEquals(await reader.atEnd(), false);
    assertEquals(await reader.peekU8(), 7);
    assertEquals(reader.position, 0);
    assertEquals(await reader.u8("it"), 7);
    assertEquals(await reader.atEnd(), true);
    assertEquals(await reader.peekU8(), undefined);
  }
});

Deno.test("ByteReader.readInto() reads more than the source's window holds", async () => {
  const bytes = new Uint8Array(200_000).map((_, i) => i);
  const into = new Uint8Array(bytes.length);
  await byteByByte(bytes).readInto(into, "it");
  assertEquals(into, bytes);
});

Deno.test("decodeText() gives text or says where it stands", () => {
  assertEquals(decodeText(fromHex(text("naïve")), "it", 5), "naïve");
});

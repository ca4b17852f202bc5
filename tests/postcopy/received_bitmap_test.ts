import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { readReceivedBitmap, receivedBitmapSize } from "../../src/postcopy/received_bitmap.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { RECV_BITMAP_END_MARK } from "../../src/wire/return_path.ts";

function block(pages: number) {
  return GuestRam.create([{ name: "ram", length: pages * 4096 }]).blocks[0]!;
}

function bitmap(bytes: Uint8Array, size = bytes.length, mark = RECV_BITMAP_END_MARK): ByteReader {
  return ByteReader.of(new ByteWriter().be64(size).bytes(bytes).be64(mark).take());
}

Deno.test("A received bitmap has whole 64-bit words", () => {
  assertEquals([1, 64, 65, 16384, 300_001].map(receivedBitmapSize), [8, 8, 16, 2048, 37_504]);
});

Deno.test("readReceivedBitmap() makes dirty what has not arrived, and nothing else", async () => {
  for (const pages of [1, 31, 32, 33, 64, 70, 100, 300_001]) {
    const ram = block(pages);
    // What was dirty before says nothing: the destination knows.
    for (let page = 0; page < pages; page += 2) ram.dirty.add(page);
    const received = (page: number) => page % 3 === 0 || page % 7 === 0;
    const bytes = new Uint8Array(receivedBitmapSize(pages));
    for (let page = 0; page < pages; page++) {
      if (received(page)) bytes[page >> 3]! |= 1 << (page & 7);
    }
    await readReceivedBitmap(bitmap(bytes), ram);
    for (let page = 0; page < pages; page++) assertEquals(ram.dirty.has(page), !received(page));
    const expected = Array.from({ length: pages }, (_, page) => page).filter((i) => !received(i));
    // Nothing beyond the last page either.
    assertEquals(ram.dirty.count(), expected.length);
  }
});

Deno.test("readReceivedBitmap() refuses another size, a missing end, and a stream that ends", async () => {
  const bytes = new Uint8Array(8);
  for (const size of [0, 7, 16, 2 ** 40]) {
    await assertRejects(
      () => readReceivedBitmap(bitmap(bytes, size), block(64)),
      StreamFormatError,
      `has ${size} bytes, not 8`,
    );
  }
  await assertRejects(
    () => readReceivedBitmap(bitmap(bytes, 8, RECV_BITMAP_END_MARK + 1n), block(64)),
    StreamFormatError,
    "end mark",
  );
  await assertRejects(
    () => readReceivedBitmap(ByteReader.of(new ByteWriter().be64(8).zeros(7).take()), block(64)),
    ConnectionLostError,
  );
  // It was refused, so what was dirty is what is.
  const ram = block(64);
  ram.dirty.add(5);
  await assertRejects(() => readReceivedBitmap(bitmap(bytes, 8, 0n), ram), StreamFormatError);
  assertEquals(ram.dirty.count(), 1);
});

import { assertEquals, assertThrows } from "@std/assert";
import { ByteWriter } from "../../src/wire/byte_writer.ts";

Deno.test("ByteWriter keeps every value when it grows, whatever is written first", () => {
  const writes: [(writer: ByteWriter) => void, number[]][] = [
    [(writer) => writer.u8(0xfe), [0xfe]],
    [(writer) => writer.be16(0x0102), [1, 2]],
    [(writer) => writer.be32(0xfffefdfc), [0xff, 0xfe, 0xfd, 0xfc]],
    [(writer) => writer.be64(-2n), [255, 255, 255, 255, 255, 255, 255, 254]],
    [(writer) => writer.be64(2 ** 53 - 1), [0, 31, 255, 255, 255, 255, 255, 255]],
    [(writer) => writer.bytes(Uint8Array.of(1, 2, 3)), [1, 2, 3]],
    [(writer) => writer.zeros(2), [0, 0]],
    [(writer) => writer.countedString("é"), [2, 0xc3, 0xa9]],
  ];
  for (let capacity = 1; capacity < 40; capacity++) {
    for (let first = 0; first < writes.length; first++) {
      const writer = new ByteWriter(capacity);
      const expected: number[] = [];
      for (let i = 0; i < 3 * writes.length; i++) {
        const [write, bytes] = writes[(first + i) % writes.length]!;
        write(writer);
        expected.push(...bytes);
      }
      assertEquals(writer.length, expected.length);
      assertEquals([...writer.take()], expected);
      assertEquals(writer.length, 0);
    }
  }
});

Deno.test("ByteWriter.zeros() clears what an earlier value left in the buffer", () => {
  const writer = new ByteWriter();
  writer.be64(-1n).take();
  assertEquals([...writer.zeros(8).take()], [0, 0, 0, 0, 0, 0, 0, 0]);
});

Deno.test("ByteWriter.countedString() refuses more than 255 bytes", () => {
  assertThrows(() => new ByteWriter().countedString("x".repeat(256)), RangeError);
});

import { assertEquals, assertThrows } from "@std/assert";
import { StreamInput } from "../../src/analyze/input.ts";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { fileOf, pipeOf } from "./fixtures/memory_bytes.ts";

const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => i * 13 + (i >> 8));

for (
  const [kind, make] of Object.entries({
    "a file": () => new StreamInput(fileOf(bytes)),
    "a pipe": () => new StreamInput(pipeOf(bytes)),
    "memory": () => StreamInput.of(bytes),
  })
) {
  Deno.test(`StreamInput reads and skips the same from ${kind}`, () => {
    const input = make();
    assertEquals(input.u8("x"), bytes[0]);
    assertEquals(input.be16("x"), bytes[1]! << 8 | bytes[2]!);
    assertEquals(input.be32("x"), new DataView(bytes.buffer).getUint32(3));
    assertEquals(input.be64("x"), new DataView(bytes.buffer).getBigUint64(7));
    assertEquals(input.take(200_000, 200_000, "x"), bytes.slice(15, 200_015));
    assertEquals(input.position, 200_015);
    input.skip(65_000, "x");
    assertEquals([input.peek(), input.peek(2)], [bytes[265_015], bytes[265_017]]);
    input.skip(bytes.length - input.position - 1, "x");
    assertEquals([input.u8("x"), input.peek()], [bytes.at(-1), undefined]);
    assertEquals(input.position, bytes.length);
    const lost = assertThrows(() => input.u8("the last thing"), ConnectionLostError);
    assertEquals(lost.what, "The stream ended inside the last thing: 0 of 1 bytes");
    assertEquals(lost.place.offset, bytes.length);
  });

  Deno.test(`StreamInput says from ${kind} where a value is cut off`, () => {
    const input = make();
    input.skip(bytes.length - 100, "x");
    assertThrows(() => input.take(101, 200, "it"), ConnectionLostError, "100 of 101 bytes");
    assertThrows(() => make().skip(bytes.length + 1, "it"), ConnectionLostError, "inside it");
  });
}

Deno.test("StreamInput takes no more than the caller wants, whatever is claimed", () => {
  const input = new StreamInput(pipeOf(bytes));
  assertThrows(() => input.take(2 ** 40, 100, "a name"), StreamFormatError, "the 100 allowed");
  assertThrows(() => input.take(2 ** 31, 2 ** 32, "a lie"), ConnectionLostError, "inside a lie");
});

Deno.test("StreamInput reads sizes that fit a number, and text", () => {
  const hex = "0000000100000000 03616263 ffffffffffffffff 01ff".replaceAll(" ", "");
  const input = StreamInput.of(Uint8Array.fromHex(hex), 1000);
  assertEquals(input.size64("x"), 2 ** 32);
  assertEquals(input.countedString("x"), "abc");
  const absurd = assertThrows(() => input.size64("the size"), StreamFormatError, "absurd");
  assertEquals(absurd.place.offset, 1012);
  assertThrows(() => input.countedString("a name"), StreamFormatError, "not text");
});

Deno.test("StreamInput begins where it is told", () => {
  assertEquals(new StreamInput(fileOf(bytes), 777).u8("x"), bytes[777]);
});

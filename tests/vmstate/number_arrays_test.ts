import { assertEquals } from "@std/assert";
import { Loading } from "../../src/vmstate/loading.ts";
import { loadNumbers, saveNumbers } from "../../src/vmstate/number_arrays.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { SplitFeed } from "../support/split_feed.ts";
import { fromHex, hex } from "./hex.ts";

/** Every class of numbers, with two numbers and their bytes. */
const CLASSES: readonly (readonly [() => ArrayBufferView, string])[] = [
  [() => new Uint8Array([1, 2]), "0102"],
  [() => new Int8Array([-1, 2]), "ff02"],
  [() => new Uint16Array([0x0102, 0xfffe]), "0102fffe"],
  [() => new Int16Array([-2, 3]), "fffe0003"],
  [() => new Uint32Array([0x01020304, 0xfffefdfc]), "01020304fffefdfc"],
  [() => new Int32Array([-2, 3]), "fffffffe00000003"],
  [() => new Float32Array([1, -2]), "3f800000c0000000"],
  [() => new Float64Array([1, -2]), "3ff0000000000000c000000000000000"],
  [() => new BigUint64Array([0x0102030405060708n, 1n]), "01020304050607080000000000000001"],
  [() => new BigInt64Array([-2n, 3n]), "fffffffffffffffe0000000000000003"],
];

Deno.test("saveNumbers() and loadNumbers() are big-endian for every class", async () => {
  for (const [make, bytes] of CLASSES) {
    const numbers = make();
    const writer = new ByteWriter();
    saveNumbers(writer, numbers, 0, 2);
    assertEquals(hex(writer.take()), bytes);
    const loaded = make();
    new Uint8Array(loaded.buffer).fill(0);
    await loadNumbers(new Loading(ByteReader.of(fromHex(bytes))), loaded, 0, 2);
    assertEquals(loaded, numbers);
  }
});

Deno.test("saveNumbers() swaps more than fits its chunk", () => {
  const numbers = Uint32Array.from({ length: 20_001 }, (_, i) => i * 0x01010101);
  const writer = new ByteWriter();
  saveNumbers(writer, numbers, 1, 20_000);
  const view = new DataView(writer.take().buffer);
  assertEquals(view.byteLength, 80_000);
  for (let i = 0; i < 20_000; i++) assertEquals(view.getUint32(i * 4), numbers[i + 1]);
});

Deno.test("loadNumbers() waits for what has not arrived, and writes nothing beside its part", async () => {
  const bytes = new Uint8Array(4000);
  for (let i = 0; i < bytes.length; i++) bytes[i] = i;
  const feed = new SplitFeed(bytes, [1, 2, 500, 1], 600);
  const numbers = new Uint32Array(new SharedArrayBuffer(4008)).fill(7);
  await loadNumbers(new Loading(new ByteReader(feed)), numbers, 1, 1000);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 1000; i++) assertEquals(numbers[i + 1], view.getUint32(i * 4));
  assertEquals([numbers[0], numbers[1001]], [7, 7]);
});

Deno.test("loadNumbers() takes no turn of the event loop for what has arrived", () => {
  const numbers = new Uint32Array(2);
  const waited = loadNumbers(new Loading(ByteReader.of(new Uint8Array(8))), numbers, 0, 2);
  assertEquals(waited, undefined);
});

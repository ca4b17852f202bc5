import { assertEquals, assertThrows } from "@std/assert";
import { IncompatibleError, StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { RecordDecoder } from "../../src/ram/record_decoder.ts";
import { RecordEncoder } from "../../src/ram/record_encoder.ts";
import { SHARED_STREAM_SIZE, SharedStream } from "../../src/threads/shared_stream.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { decodeAll } from "./fixtures/decode_all.ts";
import { assertSameRam, encodeAll, patternedRam, SPECS } from "./fixtures/patterned_ram.ts";

for (const packed of [false, true]) {
  Deno.test(`RecordEncoder and RecordDecoder agree at any split (packed: ${packed})`, () => {
    const source = patternedRam(packed);
    const bytes = encodeAll(source);
    assertEquals(source.blocks.map((block) => block.dirty.count()), [0, 0, 0]);
    for (const pieces of [1, 7, 8, 9, 4095, 4096, 4104, 4105, 100_000, bytes.length]) {
      const destination = GuestRam.create(SPECS, { packed: !packed });
      const decoder = decodeAll(destination, bytes, pieces);
      assertSameRam(destination, source);
      assertEquals(decoder.normalPages + decoder.zeroPages, 237);
      assertEquals(destination.blocks.map((block) => block.received.count()), [5, 200, 32]);
    }
  });
}

Deno.test("RecordDecoder places records that wrap around the ring's end", () => {
  const source = patternedRam(false);
  const bytes = encodeAll(source, [2, 0, 1]);
  for (const before of [1, 4, 8, 9, 30, 2000, 4100, 500_000]) {
    const stream = SharedStream.create();
    stream.filled(SHARED_STREAM_SIZE - before);
    stream.consume(SHARED_STREAM_SIZE - before);
    const destination = GuestRam.create(SPECS);
    decodeAll(destination, bytes, 65536, stream);
    assertSameRam(destination, source);
  }
});

Deno.test("RecordDecoder zeroes a page that had other content", () => {
  const source = GuestRam.create([{ name: "heap", length: 4096 }]);
  source.blocks[0]!.dirty.add(0);
  const io = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true });
  const encoder = new RecordEncoder(source, io, { detectZero: true });
  const end = encoder.encodeRun(source.blocks[0]!, 0, 1, 4096);
  const destination = GuestRam.create([{ name: "heap", length: 4096 }]);
  const block = destination.blocks[0]!;
  block.view(0, 4096).fill(9);
  block.untouched.delete(0);
  decodeAll(destination, new Uint8Array(io.buffer).slice(4096, end), 4096);
  assertEquals(new Uint8Array(block.view(0, 4096)), new Uint8Array(4096));
});

Deno.test("RecordDecoder stores QEMU 7.2's fill byte other than zero", () => {
  const ram = GuestRam.create(SPECS);
  decodeAll(ram, new ByteWriter().be64(0x1002).countedString("low").u8(7).take(), 3);
  assertEquals(ram.blocks[0]!.view(4096, 4096).every((byte) => byte === 7), true);
});

Deno.test("RecordDecoder leaves what is not a page's record unread", () => {
  for (const flags of [0x10, 0x200, 0x4, 0x80, 0x100, 0xa, 0x28 | 0x10, 0x0]) {
    const stream = SharedStream.create();
    const bytes = new ByteWriter().be64(flags).take();
    stream.room().set(bytes);
    stream.filled(bytes.length);
    assertEquals(new RecordDecoder(GuestRam.create(SPECS), stream).advance(), "other");
    assertEquals(stream.position, 0);
  }
});

Deno.test("RecordDecoder refuses what would be written outside RAM", () => {
  const feed = (bytes: Uint8Array) => {
    const stream = SharedStream.create();
    stream.room().set(bytes);
    stream.filled(bytes.length);
    const ram = GuestRam.create(SPECS, { packed: true });
    assertThrows(() => new RecordDecoder(ram, stream).advance(), StreamFormatError);
    for (const block of ram.blocks) assertEquals(block.received.count(), 0);
  };
  const page = new Uint8Array(4096).fill(1);
  feed(new ByteWriter().be64(5 * 4096 + 8).countedString("low").bytes(page).take());
  feed(new ByteWriter().be64(0xfffffffffffff008n).countedString("low").bytes(page).take());
  feed(new ByteWriter().be64(0x8000000000000002n).countedString("low").u8(0).take());
  feed(new ByteWriter().be64(0x28).bytes(page).take());
  const stream = SharedStream.create();
  const named = new ByteWriter().be64(8).countedString("nope").bytes(page).take();
  stream.room().set(named);
  stream.filled(named.length);
  assertThrows(
    () => new RecordDecoder(GuestRam.create(SPECS), stream).advance(),
    IncompatibleError,
    'RAM block "nope"',
  );
});

Deno.test("RecordDecoder refuses an offset outside after a run of good pages", () => {
  const stream = SharedStream.create();
  const ram = GuestRam.create(SPECS, { packed: true });
  const writer = new ByteWriter().be64(8).countedString("low").bytes(new Uint8Array(4096).fill(1));
  for (let page = 1; page < 7; page++) writer.be64(page * 4096 + 0x22).u8(0);
  const bytes = writer.take();
  stream.room().set(bytes);
  stream.filled(bytes.length);
  assertThrows(() => new RecordDecoder(ram, stream).advance(), StreamFormatError, "0x5000");
  assertEquals(ram.blocks.map((block) => block.received.count()), [5, 0, 0]);
});

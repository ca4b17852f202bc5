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

/** Records behind a page of sevens, which they continue: those of XBZRLE that are wrong. */
const WRONG_XBZRLE: readonly (readonly [string, string, string])[] = [
  ["another encoding", "00 0003 000105", "encoding 0"],
  ["another encoding", "02 0003 000105", "encoding 2"],
  ["more than a page", "01 1001", "4097 bytes"],
  ["the most there can be", "01 ffff", "65535 bytes"],
  ["a byte alone", "01 0001 00", "it ends where a length should follow"],
  ["a long length", "01 0005 8080010105", "a length takes more than two bytes"],
  ["two runs together", "01 0006 000105000105", "two runs of changed bytes"],
  ["a run behind the page", "01 0004 ff7f0105", "unchanged bytes go beyond the page"],
  ["an empty run", "01 0003 000005", "a run of changed bytes is empty"],
  ["bytes behind the page", "01 0005 ff1f020505", "changed bytes go beyond the page"],
  ["too few bytes", "01 0003 000205", "ends inside of its changed bytes"],
];

for (const [what, record, message] of WRONG_XBZRLE) {
  for (const named of [false, true]) {
    Deno.test(`RecordDecoder refuses XBZRLE with ${what}: ${message} (named: ${named})`, () => {
      const ram = GuestRam.create(SPECS, { packed: true });
      const page = new Uint8Array(4096).fill(7);
      const writer = new ByteWriter().be64(8).countedString("low").bytes(page);
      for (let other = 1; other < 5; other++) writer.be64(other * 4096 + 0x28).bytes(page);
      if (named) writer.be64(0x4040).countedString("low");
      else writer.be64(0x4060);
      const offset = writer.take();
      const bytes = Uint8Array.fromHex(offset.toHex() + record.replaceAll(" ", ""));
      const stream = SharedStream.create();
      stream.room().set(bytes);
      stream.filled(bytes.length);
      const error = assertThrows(
        () => new RecordDecoder(ram, stream).advance(),
        StreamFormatError,
        message,
      );
      assertEquals(error.place.offset, offset.length - 8 - (named ? 4 : 0));
      for (let other = 0; other < 4; other++) {
        assertEquals(ram.blocks[0]!.view(other * 4096, 4096).every((byte) => byte === 7), true);
      }
      // The next block begins where this one ends.
      assertEquals(ram.blocks[1]!.view(0, 4096).every((byte) => byte === 0), true);
    });
  }
}

/** XBZRLE records of the first block: none of its differences, and as many as there can be. */
function xbzrleRecords(): { bytes: Uint8Array; first: Uint8Array; second: Uint8Array } {
  const long = [0x00, 0xf9, 0x1f, ...new Uint8Array(4089).fill(5), 0x03, 0x02, 6, 7];
  const bytes = new ByteWriter()
    .be64(0x8).countedString("low").bytes(new Uint8Array(4096).fill(9))
    .be64(0x1028).bytes(new Uint8Array(4096).fill(8))
    .be64(0x60).u8(1).be16(0)
    .be64(0x1060).u8(1).be16(long.length).bytes(Uint8Array.from(long))
    .be64(0x40).countedString("low").u8(1).be16(3).bytes(Uint8Array.of(5, 1, 1))
    .be64(0x2022).u8(0)
    .take();
  const first = new Uint8Array(4096).fill(9);
  first[5] = 1;
  const second = new Uint8Array(4096).fill(8);
  second.fill(5, 0, 4089);
  second.set([6, 7], 4092);
  return { bytes, first, second };
}

Deno.test("RecordDecoder places XBZRLE records of any length at any split", () => {
  const { bytes, first, second } = xbzrleRecords();
  for (const pieces of [1, 9, 10, 11, 4095, 4107, bytes.length]) {
    const ram = GuestRam.create(SPECS, { packed: true });
    const decoder = decodeAll(ram, bytes, pieces);
    assertEquals(new Uint8Array(ram.blocks[0]!.view(0, 4096)), first);
    assertEquals(new Uint8Array(ram.blocks[0]!.view(4096, 4096)), second);
    assertEquals([decoder.normalPages, decoder.encodedPages, decoder.zeroPages], [2, 3, 1]);
    assertEquals(ram.blocks[0]!.received.count(), 3);
  }
});

Deno.test("RecordDecoder places XBZRLE records that wrap around the ring's end", () => {
  const { bytes, first, second } = xbzrleRecords();
  for (let before = 1; before < bytes.length; before += before > 8230 && before < 8260 ? 1 : 97) {
    const stream = SharedStream.create();
    stream.filled(SHARED_STREAM_SIZE - before);
    stream.consume(SHARED_STREAM_SIZE - before);
    const ram = GuestRam.create(SPECS);
    decodeAll(ram, bytes, 65536, stream);
    assertEquals(new Uint8Array(ram.blocks[0]!.view(0, 4096)), first);
    assertEquals(new Uint8Array(ram.blocks[0]!.view(4096, 4096)), second);
  }
});

Deno.test("RecordDecoder: a page of which only differences came is no longer untouched", () => {
  const ram = GuestRam.create(SPECS);
  const bytes = new ByteWriter().be64(0x40).countedString("low").u8(1).be16(3)
    .bytes(Uint8Array.of(5, 1, 1)).be64(0x22).u8(0).take();
  decodeAll(ram, bytes.slice(0, -9), 5);
  assertEquals([ram.blocks[0]!.untouched.has(0), ram.blocks[0]!.received.has(0)], [false, true]);
  assertEquals(ram.blocks[0]!.view(5, 1)[0], 1);
  decodeAll(ram, new ByteWriter().be64(0x2).countedString("low").u8(0).take(), 5);
  assertEquals(ram.blocks[0]!.view(5, 1)[0], 0);
});

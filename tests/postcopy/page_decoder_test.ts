import { assertEquals, assertThrows } from "@std/assert";
import { StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import type { RamBlock } from "../../src/machine/ram_block.ts";
import { openPageDecoder, PageDecoder } from "../../src/postcopy/page_decoder.ts";
import type { PageStore } from "../../src/postcopy/page_store.ts";
import { RamFlag } from "../../src/ram/flags.ts";
import { SHARED_STREAM_SIZE, SharedStream } from "../../src/threads/shared_stream.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { KINDS, Missing } from "./fixtures/missing.ts";

/** Remembers what it was told. */
class RecordingStore implements PageStore {
  readonly placed: string[] = [];

  /** How many pages came with each call. */
  readonly rows: number[] = [];

  place(
    block: RamBlock,
    page: number,
    source: WebAssembly.Memory,
    at: number,
    count = 1,
  ): void {
    this.rows.push(count);
    for (let i = 0; i < count; i++) {
      const size = block.hostPageSize;
      const bytes = new Uint8Array(source.buffer, at + i * size, size);
      this.placed.push(`${block.name} ${page + i}: ${[...new Set(bytes)].join(",")}`);
    }
  }

  placeZeros(block: RamBlock, page: number): void {
    this.placed.push(`${block.name} ${page}: zeros`);
  }
}

function setUp(pageSize = 4096, before = 0) {
  const specs = [{ name: "a", length: 8 * 4096 }, { name: "b", length: 4 * 4096 }];
  const ram = GuestRam.create(specs, { pageSize });
  const stream = SharedStream.create();
  for (let left = before; left > 0;) {
    const count = Math.min(left, stream.room().length);
    stream.filled(count);
    stream.consume(count);
    left -= count;
  }
  const store = new RecordingStore();
  const decoder = new PageDecoder(ram, stream, store);
  const feed = (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) {
      const room = stream.room();
      const count = Math.min(room.length, bytes.length - at);
      room.set(bytes.subarray(at, at + count));
      stream.filled(count);
      at += count;
    }
    return decoder.advance();
  };
  return { ram, stream, store, decoder, feed };
}

function page(fill: number, size = 4096): Uint8Array {
  return new Uint8Array(size).fill(fill);
}

Deno.test("PageDecoder places each page at once, also around the ring's end", () => {
  const records = new ByteWriter()
    .be64(0x2000 + RamFlag.PAGE).countedString("a").bytes(page(7))
    .be64(0x1000 + RamFlag.ZERO + RamFlag.CONTINUE).u8(0)
    .be64(0x3000 + RamFlag.PAGE).countedString("b").bytes(page(9))
    .be64(RamFlag.EOS).take();
  for (const left of [SHARED_STREAM_SIZE, 5, 12, 2000, 4108, 6000]) {
    const { store, decoder, feed } = setUp(4096, SHARED_STREAM_SIZE - left);
    assertEquals(feed(records), "other");
    assertEquals(store.placed, ["a 2: 7", "a 1: zeros", "b 3: 9"], `${left} bytes left`);
    assertEquals([decoder.normalPages, decoder.zeroPages], [2, 1]);
  }
});

Deno.test("PageDecoder places pages of a row together that continue a block, in the order in which they came", () => {
  const writer = new ByteWriter();
  const add = (offset: number, flag: number, fill: number) => {
    writer.be64(offset + flag);
    if (!(flag & RamFlag.CONTINUE)) writer.countedString(offset < 0x8000 ? "a" : "b");
    if (flag & RamFlag.ZERO) writer.u8(0);
    else writer.bytes(page(fill));
  };
  add(0x1000, RamFlag.PAGE, 1);
  add(0x2000, RamFlag.PAGE | RamFlag.CONTINUE, 2);
  add(0x2000, RamFlag.PAGE | RamFlag.CONTINUE, 3); // once more
  add(0x3000, RamFlag.PAGE | RamFlag.CONTINUE, 4);
  add(0x4000, RamFlag.ZERO | RamFlag.CONTINUE, 0);
  add(0x5000, RamFlag.PAGE | RamFlag.CONTINUE, 5);
  add(0x7000, RamFlag.PAGE | RamFlag.CONTINUE, 6);
  const bytes = writer.take();
  const { store, feed } = setUp();
  assertEquals(feed(bytes), "more");
  assertEquals(store.placed, [
    ...["a 1: 1", "a 2: 2", "a 2: 3", "a 3: 4", "a 4: zeros", "a 5: 5", "a 7: 6"],
  ]);
  assertEquals(store.rows, [1, 1, 2, 1, 1]);
});

Deno.test("PageDecoder places at once what has come when the stream goes on later", () => {
  const { store, feed } = setUp();
  const first = new ByteWriter().be64(0x1000 + RamFlag.PAGE).countedString("a").bytes(page(1));
  assertEquals(feed(first.take()), "more");
  assertEquals(store.placed, ["a 1: 1"]);
  feed(new ByteWriter().be64(0x2000 + RamFlag.PAGE + RamFlag.CONTINUE).bytes(page(2)).take());
  assertEquals(store.rows, [1, 1]);
});

Deno.test("PageDecoder passes over pages that are there", () => {
  const { ram, store, feed } = setUp();
  ram.blocks[0]!.received.add(2);
  feed(
    new ByteWriter()
      .be64(0x2000 + RamFlag.PAGE).countedString("a").bytes(page(7))
      .be64(0x3000 + RamFlag.PAGE + RamFlag.CONTINUE).bytes(page(8)).take(),
  );
  assertEquals(store.placed, ["a 3: 8"]);
});

Deno.test("PageDecoder collects the target pages of a page of the host, in any order", () => {
  const { store, feed } = setUp(1024);
  const part = (index: number, fill: number) =>
    new ByteWriter().be64(0x1000 + index * 1024 + RamFlag.PAGE).countedString("a")
      .bytes(page(fill, 1024)).take();
  const zero = (offset: number) =>
    new ByteWriter().be64(offset + RamFlag.ZERO).countedString("b").u8(0).take();
  for (const index of [2, 0, 3]) feed(part(index, index + 1));
  assertEquals(store.placed, []);
  feed(part(1, 2));
  assertEquals(store.placed, ["a 4: 1,2,3,4"]);
  for (const offset of [0, 1024, 2048, 3072]) feed(zero(offset));
  assertEquals(store.placed.slice(1), ["b 0: zeros"]);
});

Deno.test("PageDecoder goes on with a page of the host in the next section", () => {
  const { store, stream, feed, decoder } = setUp(1024);
  const part = (index: number) =>
    new ByteWriter().be64(0x1000 + index * 1024 + RamFlag.PAGE).countedString("a")
      .bytes(page(index + 1, 1024));
  const end = new ByteWriter().be64(RamFlag.EOS).take();
  assertEquals(feed(part(0).bytes(part(1).take()).bytes(end).take()), "other");
  stream.consume(end.length);
  assertEquals(store.placed, []);
  assertEquals(feed(part(2).bytes(part(3).take()).bytes(end).take()), "other");
  assertEquals(store.placed, ["a 4: 1,2,3,4"]);
  assertEquals(decoder.normalPages, 4);
});

Deno.test("PageDecoder waits for the beginning of a page of the host while others come", () => {
  const { store, feed } = setUp(1024);
  const records = (offset: number, ...indexes: number[]) => {
    const writer = new ByteWriter();
    for (const index of indexes) {
      writer.be64(offset + index * 1024 + RamFlag.PAGE).countedString("a")
        .bytes(page(index + 1, 1024));
    }
    return writer.take();
  };
  feed(records(0x1000, 1, 2, 3));
  feed(records(0x2000, 0, 1, 2, 3));
  assertEquals(store.placed, ["a 8: 1,2,3,4"]);
  feed(records(0x1000, 0));
  assertEquals(store.placed.slice(1), ["a 4: 1,2,3,4"]);
});

Deno.test("PageDecoder refuses what postcopy does not allow", () => {
  const refuse = (message: string, pageSize: number, ...records: ByteWriter[]) => {
    const { feed } = setUp(pageSize);
    const bytes = new ByteWriter();
    for (const record of records) bytes.bytes(record.take());
    assertThrows(() => feed(bytes.take()), StreamFormatError, message);
  };
  const record = (offset: number, name = "a") =>
    new ByteWriter().be64(offset + RamFlag.ZERO).countedString(name).u8(0);
  refuse("A page of 7s", 4096, new ByteWriter().be64(RamFlag.ZERO).countedString("a").u8(7));
  refuse("interrupts a page of the host", 1024, record(0), record(4096), record(8192));
  refuse("interrupts a page of the host", 1024, record(0), record(0, "b"), record(4096));
  refuse(
    "Differences to a page",
    4096,
    new ByteWriter().be64(RamFlag.XBZRLE).countedString("a").u8(1).be16(2).zeros(2),
  );
});

for (const kind of KINDS) {
  Deno.test(`openPageDecoder() places pages as the RAM is watched: ${kind}`, () => {
    using missing = new Missing(kind);
    const stream = SharedStream.create();
    const bytes = new ByteWriter().be64(0x1000 + RamFlag.PAGE).countedString("ram").bytes(page(5))
      .be64(0x2000 + RamFlag.ZERO + RamFlag.CONTINUE).u8(0).take();
    stream.room().set(bytes);
    stream.filled(bytes.length);
    assertEquals(openPageDecoder(missing.missing.layout, stream).advance(), "more");
    assertEquals([missing.ends(0, 1), missing.ends(0, 2)], [[5, 5], [0, 0]]);
    assertEquals(missing.ram.blocks[0]!.received.count(), 2);
  });
}

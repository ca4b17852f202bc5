import { assertEquals } from "@std/assert";
import { bindRamRecords, NO_BITMAP } from "../../src/kernels/ram_records.ts";

const RECEIVED = 0;
const UNTOUCHED = 1024;

function setUp() {
  const make = (pages: number) =>
    new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const [ram, io, tables] = [make(2), make(2), make(1)] as const;
  const bytes = new Uint8Array(io.buffer);
  return {
    kernel: bindRamRecords(ram, io, tables),
    ram: new Uint8Array(ram.buffer),
    io: bytes,
    words: new Uint32Array(tables.buffer),
    encode: (pages: number, detect: number, name = "") => {
      bytes.set(new TextEncoder().encode(name));
      const end = bindRamRecords(ram, io, tables).encode(
        ...[8192, pages, 4096, 0x5000n, 5, NO_BITMAP, detect, 4096, 0, name.length] as const,
      );
      return bytes.slice(4096, end);
    },
  };
}

Deno.test("is_zero() and count_zero() see every byte", () => {
  const { kernel, ram } = setUp();
  assertEquals([kernel.is_zero(0, 131072), kernel.count_zero(0, 4096, 32)], [1, 32]);
  for (let at = 4096; at < 8192; at += 37) {
    ram[at] = 1;
    assertEquals([kernel.is_zero(0, 4096), kernel.is_zero(4096, 4096)], [1, 0], `${at}`);
    assertEquals(kernel.count_zero(0, 4096, 3), 2);
    ram[at] = 0;
  }
});

Deno.test("encode() writes PAGE and ZERO records as wire-format §5.1 has them", () => {
  const { encode, ram } = setUp();
  ram.fill(7, 8192, 12288);
  const page = "07".repeat(4096);
  assertEquals(
    encode(2, 1, "\x02pc").toHex(),
    `0000000000005008${"027063"}${page}` + "0000000000006022" + "00",
  );
  assertEquals(encode(1, 1).toHex(), `0000000000005028${page}`);
  assertEquals(encode(2, 0).toHex(), `0000000000005028${page}0000000000006028${"00".repeat(4096)}`);
});

Deno.test("encode() does not look at pages that nobody touched", () => {
  const { kernel, ram, words } = setUp();
  ram.fill(7, 8192, 12288);
  words[UNTOUCHED / 4] = 1 << 5;
  const end = kernel.encode(8192, 1, 4096, 0x5000n, 5, UNTOUCHED, 1, 4096, 0, 0);
  assertEquals([end - 4096, kernel.normal_pages.value, kernel.zero_pages.value], [9, 0, 1]);
});

Deno.test("decode() places records that continue a block, and leaves the first it does not know", () => {
  const { kernel, ram, io, words } = setUp();
  const view = new DataView(io.buffer);
  let at = 0;
  const record = (header: bigint, body: Uint8Array) => {
    view.setBigUint64(at, header);
    io.set(body, at + 8);
    at += 8 + body.length;
  };
  record(0x1028n, new Uint8Array(4096).fill(1));
  record(0x3022n, Uint8Array.of(0));
  record(0x2028n, new Uint8Array(4096).fill(2));
  const known = at;
  record(0x10n, new Uint8Array(0));
  words.fill(0xf, UNTOUCHED / 4, UNTOUCHED / 4 + 1);
  const decode = (available: number) =>
    kernel.decode(0, available, 65536, 4096, 12, 4096, 0n, 0x4000n, RECEIVED, UNTOUCHED);
  assertEquals(decode(at), known);
  assertEquals([2, 3, 4].map((page) => ram[page * 4096]), [1, 2, 0]);
  assertEquals([kernel.normal_pages.value, kernel.zero_pages.value], [2, 1]);
  assertEquals([words[0], words[UNTOUCHED / 4]], [0b1110, 0b1001]);
  // A record of which a byte is missing stays.
  assertEquals(decode(8 + 4095), 0);
  // So does one outside of the segment.
  view.setBigUint64(0, 0x4028n);
  assertEquals(decode(known), 0);
});

Deno.test("place_zero() clears a page only if it could hold something", () => {
  const { kernel, ram, words } = setUp();
  ram.fill(3, 4096, 12288);
  words[UNTOUCHED / 4] = 0b10;
  for (const page of [1, 2]) kernel.place_zero(4096 * page, 4096, page, RECEIVED, UNTOUCHED);
  assertEquals([ram[4096], ram[8192]], [3, 0]);
  assertEquals(words[0], 0b110);
});

/** A ring with records of pages that continue a block, each of bytes like its number. */
function ringOf(pages: readonly number[], at = 0, ring = 65536) {
  const made = setUp();
  const put = (byte: number) => made.io[at++ & (ring - 1)] = byte;
  const record = (page: number, flags: number) => {
    const head = new DataView(new ArrayBuffer(8));
    head.setBigUint64(0, BigInt(page * 4096 + flags));
    new Uint8Array(head.buffer).forEach(put);
    for (let i = 0; i < (flags === 0x28 ? 4096 : 1); i++) put(flags === 0x28 ? page : 0);
  };
  for (const page of pages) record(page, 0x28);
  return { ...made, record };
}

const RECORD = 8 + 4096;

Deno.test("stage() takes pages that lie side by side, and no others", () => {
  const stage = (
    pages: readonly number[],
    { most = 8, count = 100, bytes = pages.length * RECORD, received = 0 } = {},
  ) => {
    const { kernel, ram, words } = ringOf(pages);
    words[RECEIVED / 4] = received;
    const staged = kernel.stage(0, bytes, 65536, 4096, 12, most, count, RECEIVED);
    const contents = Array.from({ length: staged }, (_, i) => ram[i * 4096]);
    assertEquals(ram[staged * 4096], 0, "nothing behind them");
    return [kernel.staged_page.value, ...contents];
  };
  assertEquals(stage([5, 6, 7]), [5, 5, 6, 7]);
  assertEquals(stage([5, 6, 7], { most: 2 }), [5, 5, 6]);
  assertEquals(stage([5, 7]), [5, 5], "a gap");
  assertEquals(stage([5, 5]), [5, 5], "the same again");
  assertEquals(stage([5, 4]), [5, 5], "backwards");
  assertEquals(stage([5, 6, 7], { bytes: 2 * RECORD - 1 }), [5, 5], "not all of it has come");
  assertEquals(stage([5, 6, 7], { received: 1 << 6 }), [5, 5], "it is there already");
  assertEquals(stage([5, 6], { received: 1 << 5 }), [0], "the first one, too");
  assertEquals(stage([5, 6], { count: 6 }), [5, 5], "outside of the block");
  assertEquals(stage([5], { count: 5 }), [0]);
  assertEquals(stage([5], { bytes: 7 }), [0]);
});

Deno.test("stage() stops before a record of another kind, and before an offset that is no page's", () => {
  for (const flags of [0x22, 0x08, 0x60, 0x10]) {
    const { kernel, record } = ringOf([3]);
    record(4, flags);
    assertEquals(kernel.stage(0, 60000, 65536, 4096, 12, 8, 100, RECEIVED), 1, `${flags}`);
  }
  const { kernel, io } = ringOf([3]);
  io.set([0xff, 0xff, 0xff, 0xff]);
  assertEquals(kernel.stage(0, RECORD, 65536, 4096, 12, 8, 100, RECEIVED), 0);
});

Deno.test("stage() reads around the ring's end, wherever that is in a record", () => {
  for (const left of [1, 7, 8, 9, 4000, 4103, 4104, 4105, 8208]) {
    const { kernel, ram } = ringOf([5, 6, 7], 65536 - left);
    const bytes = 3 * RECORD;
    assertEquals(kernel.stage(65536 - left, bytes, 65536, 4096, 12, 8, 100, RECEIVED), 3);
    for (let at = 0; at < 3 * 4096; at++) {
      if (ram[at] !== 5 + (at >> 12)) throw new Error(`${left} left: byte ${at} is ${ram[at]}`);
    }
  }
});

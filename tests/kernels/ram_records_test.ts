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

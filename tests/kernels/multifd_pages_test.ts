import { assertEquals } from "@std/assert";
import { MultifdPages } from "../../src/kernels/multifd_pages.ts";

const RECEIVED = 0;
const UNTOUCHED = 1024;
const NORMALS = 1000;
const ZEROS = 4000;
const RUNS = 8000;

/** The kernels over memories of their own: RAM of two pages of WebAssembly. */
function setUp() {
  const make = (pages: number) =>
    new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const [ram, other, io, tables] = [make(2), make(1), make(2), make(1)] as const;
  const kernels = new MultifdPages(io, tables);
  return {
    ...{ kernels, kernel: kernels.of(ram), memory: ram, other },
    ram: new Uint8Array(ram.buffer),
    io: new Uint8Array(io.buffer),
    view: new DataView(io.buffer),
    words: new Uint32Array(tables.buffer),
  };
}

/** The numbers of a list, as pairs where they are runs. */
function list(view: DataView, at: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => view.getUint32(at + 4 * i, true));
}

Deno.test("MultifdPages has one instance for each memory", () => {
  const { kernels, kernel, memory, other } = setUp();
  assertEquals(kernels.of(memory) === kernel, true);
  assertEquals(kernels.of(other) === kernel, false);
});

Deno.test("sort() lists pages by kind, and runs of those that are side by side in memory", () => {
  const { kernel, ram, view } = setUp();
  for (const page of [1, 2, 5, 7]) ram[4096 * page + 4095] = 1;
  ram[4096 * 3] = 0;
  kernel.begin(NORMALS, ZEROS, RUNS);
  kernel.sort(0, 6, 4096, 0x40000n, 64, -1, 1);
  kernel.sort(7 * 4096, 1, 4096, 0x47000n, 71, -1, 1);
  assertEquals(
    [kernel.normal_pages.value, kernel.zero_pages.value, kernel.runs.value],
    [4, 3, 3],
  );
  const offsets = (at: number, count: number) =>
    Array.from({ length: count }, (_, i) => Number(view.getBigUint64(at + 8 * i)));
  assertEquals(offsets(NORMALS, 4), [0x41000, 0x42000, 0x45000, 0x47000]);
  assertEquals(offsets(ZEROS, 3), [0x40000, 0x43000, 0x44000]);
  assertEquals(list(view, RUNS, 6), [4096, 8192, 5 * 4096, 4096, 7 * 4096, 4096]);
});

Deno.test("sort() believes the bitmap of untouched pages, and can leave out looking at all", () => {
  const { kernel, ram, words } = setUp();
  ram.fill(1, 0, 8192);
  words[UNTOUCHED / 4 + 2] = 0b10;
  kernel.begin(NORMALS, ZEROS, RUNS);
  kernel.sort(0, 2, 4096, 0n, 64, UNTOUCHED, 1);
  assertEquals([kernel.normal_pages.value, kernel.zero_pages.value], [1, 1]);
  kernel.begin(NORMALS, ZEROS, RUNS);
  kernel.sort(8192, 3, 4096, 0n, 0, UNTOUCHED, 0);
  assertEquals([kernel.normal_pages.value, kernel.zero_pages.value], [3, 0]);
});

Deno.test("sort() finds a single byte anywhere in a page of any size", () => {
  const { kernel, ram } = setUp();
  for (const size of [1024, 4096, 65536]) {
    for (let at = 65536; at < 65536 + size; at += 61) {
      ram[at] = 0x80;
      kernel.begin(NORMALS, ZEROS, RUNS);
      kernel.sort(65536, 1, size, 0n, 0, -1, 1);
      assertEquals(kernel.normal_pages.value, 1, `byte ${at} of ${size}`);
      ram[at] = 0;
    }
    kernel.begin(NORMALS, ZEROS, RUNS);
    kernel.sort(65536, 1, size, 0n, 0, -1, 1);
    assertEquals(kernel.zero_pages.value, 1);
  }
});

Deno.test("gather() copies the runs together, finish() completes the header", () => {
  const { kernel, ram, io, view } = setUp();
  for (const page of [1, 2, 5]) ram.fill(page, 4096 * page, 4096 * (page + 1));
  io.fill(0xee, NORMALS, NORMALS + 64);
  kernel.begin(NORMALS, ZEROS, RUNS);
  kernel.sort(0, 6, 4096, 0n, 0, -1, 1);
  assertEquals(kernel.gather(65536), 65536 + 3 * 4096);
  assertEquals(
    [0, 4096, 8192, 3 * 4096].map((at) => io[65536 + at]),
    [1, 2, 5, 0],
  );
  const header = NORMALS - 320;
  kernel.finish(header, 8);
  assertEquals([12, 16, 32].map((at) => view.getUint32(header + at)), [8, 3, 3]);
  const offsets = Array.from({ length: 8 }, (_, i) => Number(view.getBigUint64(NORMALS + 8 * i)));
  assertEquals(offsets, [4096, 8192, 5 * 4096, 0, 3 * 4096, 4 * 4096, 0, 0]);
});

Deno.test("parse() makes runs, and gives the index of the first bad offset", () => {
  const { kernel, view } = setUp();
  const parse = (...offsets: number[]) => {
    offsets.forEach((offset, i) =>
      view.setBigUint64(100 + 8 * i, BigInt.asUintN(64, BigInt(offset)))
    );
    return kernel.parse(100, offsets.length, 12, 0x10000n, RUNS);
  };
  assertEquals(parse(0x1000, 0x2000, 0x3000, 0xf000, 0xe000), 3);
  assertEquals(list(view, RUNS, 6), [1, 3, 15, 1, 14, 1]);
  assertEquals(parse(), 0);
  assertEquals(parse(0x1000, 0x10000), -2);
  assertEquals(parse(0x1001), -1);
  assertEquals(parse(0, 0x1000, 0x2000, -4096), -4);
});

Deno.test("mark() sets and clears exactly the pages' bits", () => {
  for (const [first, count] of [[0, 1], [31, 2], [5, 100], [32, 32], [64, 0]] as const) {
    const { kernel, words } = setUp();
    words.fill(0xffffffff, UNTOUCHED / 4, UNTOUCHED / 4 + 8);
    kernel.mark(RECEIVED, UNTOUCHED, first, count);
    for (let page = 0; page < 256; page++) {
      const inside = page >= first && page < first + count;
      const bit = (at: number) => ((words[at / 4 + (page >>> 5)]! >>> (page & 31)) & 1) === 1;
      assertEquals([bit(RECEIVED), bit(UNTOUCHED)], [inside, !inside], `page ${page}`);
    }
  }
});

Deno.test("scatter() copies runs of its segment and stops before one that is not", () => {
  const { kernel, ram, io, view } = setUp();
  io.fill(1, 65536, 65536 + 8192).fill(2, 65536 + 8192, 65536 + 4 * 4096);
  // The segment has pages 10 to 19 of the block, from address 4096 of the memory on.
  const scatter = (...runs: number[]) => {
    runs.forEach((number, i) => view.setUint32(RUNS + 4 * i, number, true));
    return kernel.scatter(
      RUNS,
      runs.length / 2,
      65536,
      12,
      BigInt(4096 - 10 * 4096),
      10,
      20,
      RECEIVED,
      UNTOUCHED,
    );
  };
  assertEquals(scatter(12, 2, 10, 1, 18, 1), 3);
  assertEquals([1, 3, 4, 9].map((page) => ram[page * 4096]), [2, 1, 1, 2]);
  assertEquals(ram.subarray(2 * 4096, 3 * 4096).every((byte) => byte === 0), true);
  assertEquals(scatter(11, 1, 9, 1, 12, 1), 1, "before the segment");
  assertEquals(scatter(19, 2), 0, "across its end");
  assertEquals(scatter(0xffffffff, 1), 0);
});

Deno.test("place_zeros() clears what was written or received, and leaves the rest untouched", () => {
  const { kernel, ram, words } = setUp();
  ram.fill(9, 0, 40 * 1024);
  words.fill(0xffffffff, UNTOUCHED / 4, UNTOUCHED / 4 + 8);
  kernel.mark(RECEIVED, UNTOUCHED, 33, 1);
  // Page 34 counts as untouched, so it is not looked at: this test wrote there behind everybody's back.
  kernel.place_zeros(0, 1024, 32, 3, RECEIVED, UNTOUCHED);
  assertEquals([0, 1024, 2048, 3072].map((at) => ram[at]), [9, 0, 9, 9]);
  assertEquals(words[1], 0b111);
  assertEquals(words[UNTOUCHED / 4 + 1]! >>> 0, 0xfffffffd);
});

Deno.test("untouched_pages() counts the pages of a row up to the first that was touched", () => {
  const { kernel, words } = setUp();
  words.fill(0xffffffff, UNTOUCHED / 4, UNTOUCHED / 4 + 8);
  for (const touched of [0, 5, 31, 32, 63, 100, 255]) {
    words[UNTOUCHED / 4 + (touched >>> 5)]! ^= 1 << (touched & 31);
    for (const [first, count] of [[0, 256], [5, 100], [32, 32], [31, 2], [64, 0], [101, 155]]) {
      const behind = touched - first! >= 0 ? touched - first! : 256;
      assertEquals(
        kernel.untouched_pages(UNTOUCHED, first!, count!),
        Math.min(behind, count!),
        `${count} from ${first}, ${touched} touched`,
      );
    }
    words[UNTOUCHED / 4 + (touched >>> 5)]! ^= 1 << (touched & 31);
  }
});

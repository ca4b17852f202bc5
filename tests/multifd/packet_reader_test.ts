import { assert, assertEquals, assertRejects } from "@std/assert";
import { concat } from "@std/bytes";
import zlib from "node:zlib";
import { ConnectionLostError, IncompatibleError, StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import type { MultifdCompression } from "../../src/multifd/method.ts";
import { PacketReader } from "../../src/multifd/packet_reader.ts";
import { PacketWriter } from "../../src/multifd/packet_writer.ts";
import { MemoryChannel, pieces } from "../ram/fixtures/channels.ts";
import { patternedRam, SPECS } from "../ram/fixtures/patterned_ram.ts";
import { HEADER, packet, type PacketParts, pagesOf, syncPacket } from "./fixtures/packets.ts";
import { contentOf, inSegments } from "./fixtures/ram.ts";

const NONE = { method: "none" } as const;

function readerOf(
  ram: GuestRam,
  bytes: Uint8Array,
  options: Pick<MultifdCompression, "method" | "codec"> = NONE,
  size = 65_536,
) {
  return new PacketReader(new MemoryChannel(pieces(bytes, size)), ram, options);
}

function smallRam(): GuestRam {
  return GuestRam.create([{ name: "b", length: 40 * 4096 }]);
}

/** Reads to the end; what each packet said of SYNC. */
async function readAll(reader: PacketReader): Promise<boolean[]> {
  const syncs: boolean[] = [];
  for (let sync; (sync = await reader.read()) !== undefined;) syncs.push(sync);
  return syncs;
}

/** All of a RAM in packets, in the given order of pages. */
async function packetsOf(ram: GuestRam, compression: MultifdCompression, stride: number) {
  let number = 0;
  const writer = new PacketWriter(
    ram,
    { detectZero: true, compression },
    (count) => (number += count) - count,
  );
  const bytes: Uint8Array<ArrayBuffer>[] = [];
  const take = () => bytes.push(...writer.take().map((part) => Uint8Array.from(part)));
  for (const block of ram.blocks) {
    for (let start = 0; start < stride; start++) {
      for (let page = start; page < block.pageCount;) {
        const added = writer.add(block, page, 1);
        if (added === 0) {
          await writer.close();
          take();
        }
        page += added * stride;
      }
    }
    await writer.close();
    if (writer.full) take();
    writer.addSync();
    take();
  }
  writer.free();
  return concat(bytes);
}

for (const [method, codec] of [["none"], ["zlib"], ["zstd"], ["zstd", "stream"]] as const) {
  for (const stride of [1, 2, 7]) {
    for (const size of [1000, 65_536]) {
      Deno.test(`PacketReader places what PacketWriter packs: ${method} ${codec ?? ""}, every ${stride}. page, ${size} bytes at once`, async () => {
        const ram = patternedRam(true);
        const compression = { method, level: 1, ...codec && { codec } };
        const bytes = await packetsOf(inSegments(ram), compression, stride);
        for (const received of [GuestRam.create(SPECS), inSegments(GuestRam.create(SPECS))]) {
          const reader = readerOf(received, bytes, compression, size);
          const syncs = await readAll(reader);
          reader.free();
          assertEquals(syncs.filter(Boolean).length, 3);
          for (const { name } of SPECS) {
            assertEquals(contentOf(received, name), contentOf(ram, name));
          }
          assertEquals(reader.normalPages + reader.zeroPages, 237);
          assertEquals([reader.bytes, reader.position], [bytes.length, bytes.length]);
          for (const block of received.blocks) {
            assertEquals(block.received.count(), block.pageCount);
            for (let page = 0; page < block.pageCount; page++) {
              assertEquals(block.untouched.has(page), page % 3 === 0, `page ${page}`);
            }
          }
        }
      });
    }
  }
}

Deno.test("PacketReader clears a page that had content and is zero now", async () => {
  const ram = smallRam();
  const bytes = concat([
    packet({ block: "b", normal: [0, 4096], payload: pagesOf(1, 2) }),
    packet({ block: "b", zero: [4096, 8192] }),
  ]);
  await readAll(readerOf(ram, bytes));
  assertEquals(contentOf(ram, "b").slice(0, 12288), concat([pagesOf(1), new Uint8Array(8192)]));
});

Deno.test("PacketReader takes QEMU 7.2's packets: SYNC on pages, then one with garbage and no payload", async () => {
  const ram = smallRam();
  const bytes = concat([
    packet({ flags: 1, block: "b", normal: [0], payload: pagesOf(9) }),
    packet({ block: "stale name", payloadBytes: 524288, normal: [], number: 3 }),
    packet({ block: "b", normal: [4096], payload: pagesOf(8) }),
  ]);
  assertEquals(await readAll(readerOf(ram, bytes)), [true, false, false]);
  assertEquals(contentOf(ram, "b").slice(0, 8192), pagesOf(9, 8));
});

Deno.test("PacketReader takes offsets in any order, as QEMU lists zero pages, and a page twice", async () => {
  const ram = smallRam();
  const bytes = packet({
    ...{ block: "b", normal: [5, 3, 4, 3].map((page) => page * 4096) },
    ...{ zero: [4096, 8192, 0], payload: pagesOf(5, 7, 4, 3) },
  });
  await readAll(readerOf(ram, bytes));
  assertEquals(contentOf(ram, "b").slice(3 * 4096, 6 * 4096), pagesOf(3, 4, 5));
});

const deflated = (...numbers: number[]) => new Uint8Array(zlib.deflateSync(pagesOf(...numbers)));
type Refused = readonly [
  string,
  PacketParts,
  new (what: string) => StreamFormatError | IncompatibleError,
  string,
  "none" | "zlib" | "zstd",
];
const REFUSED: readonly Refused[] = [
  ["magic", { magic: 1 }, StreamFormatError, "magic 0x1", "none"],
  ["version", { version: 9 }, StreamFormatError, "version 9", "none"],
  ["page count", { normalPages: 129, allocated: 129 }, StreamFormatError, "129", "none"],
  ["block", { block: "c", zero: [0] }, IncompatibleError, 'RAM block "c"', "none"],
  [
    "offset behind the block",
    { block: "b", normal: [40 * 4096], payload: pagesOf(1) },
    StreamFormatError,
    "page at 0x28000",
    "none",
  ],
  [
    "offset of a zero page",
    { block: "b", zero: [0, 40 * 4096] },
    StreamFormatError,
    'page at 0x28000 of RAM block "b", which has 0x28000 bytes',
    "none",
  ],
  [
    "offset that is no page",
    { block: "b", normal: [1], payload: pagesOf(1) },
    StreamFormatError,
    "page at 0x1 ",
    "none",
  ],
  [
    "huge offset",
    { block: "b", normal: [Number.MAX_SAFE_INTEGER - 4095], payload: pagesOf(1) },
    StreamFormatError,
    "page at 0x1ffffffffff000",
    "none",
  ],
  [
    "size",
    { block: "b", normal: [0], payload: new Uint8Array(5) },
    StreamFormatError,
    "a payload of 5 bytes",
    "none",
  ],
  [
    "expansion past the page",
    { flags: 2, block: "b", normal: [0], payload: deflated(1, 2) },
    StreamFormatError,
    "expands past",
    "zlib",
  ],
  [
    "expansion to less",
    { flags: 2, block: "b", normal: [0, 4096], payload: deflated(1) },
    StreamFormatError,
    "4096 bytes less",
    "zlib",
  ],
  [
    "compression",
    { flags: 4, block: "b", normal: [0], payload: deflated(1) },
    StreamFormatError,
    "is not zstd",
    "zstd",
  ],
  [
    "method",
    { flags: 2, block: "b", normal: [0], payload: deflated(1) },
    IncompatibleError,
    "this side expects zstd",
    "zstd",
  ],
];
for (const [what, parts, errorClass, message, method] of REFUSED) {
  Deno.test(`PacketReader refuses a bad ${what}, and writes nothing behind the pages it names`, async () => {
    const ram = smallRam();
    const memory = new Uint8Array(ram.memories[0]!.buffer);
    memory.fill(0xc5, 40 * 4096);
    const canary = memory.slice(2 * 4096);
    const reader = readerOf(ram, packet(parts), { method });
    await assertRejects(() => reader.read(), errorClass, message);
    reader.free();
    assertEquals(memory.slice(2 * 4096), canary);
    assert(ram.blocks[0]!.received.count() <= 2);
  });
}

Deno.test("PacketReader tells an end inside a packet from one between two", async () => {
  const bytes = packet({ block: "b", normal: [0, 4096], payload: pagesOf(1, 2) });
  for (const length of [1, 1343, 1344, 5000, bytes.length - 1]) {
    const reader = readerOf(smallRam(), bytes.subarray(0, length));
    await assertRejects(() => reader.read(), ConnectionLostError, "inside a packet");
  }
  assertEquals(await readAll(readerOf(smallRam(), new Uint8Array(0))), []);
  assertEquals(await readAll(readerOf(smallRam(), concat([bytes, syncPacket()]))), [false, true]);
});

/** Zero pages from a page on. */
function zeros(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => (first + i) * 4096);
}

const ALIKE = { block: "b", zero: zeros(0, 10) };
const BEHIND_ALIKE: readonly [string, PacketParts][] = [
  ["another one", { ...ALIKE, zero: zeros(10, 30) }],
  ["a page twice", { ...ALIKE, zero: zeros(5, 1) }],
  ["the last page", { ...ALIKE, zero: zeros(39, 1) }],
  ["a page behind the last", { ...ALIKE, zero: zeros(39, 2) }],
  ["a page far away", { ...ALIKE, zero: [2 ** 52] }],
  ["half a page", { ...ALIKE, zero: [2048] }],
  ["pages that are not in a row", { ...ALIKE, zero: [4096, 3 * 4096, 2 * 4096] }],
  ["no pages", { ...ALIKE, zero: [] }],
  ["more pages than it has room for", { ...ALIKE, zero: zeros(0, 4), allocated: 3 }],
  ["more pages than there is room for", { ...ALIKE, zeroPages: 129 }],
  ["very many pages", { ...ALIKE, zeroPages: 0xffffffff }],
  ["another block", { ...ALIKE, block: "c" }],
  ["a block that does not exist", { ...ALIKE, block: "bb" }],
  ["content", { block: "b", normal: [4096], payload: pagesOf(7) }],
  ["SYNC", { ...ALIKE, flags: 1 }],
  ["an unknown flag", { ...ALIKE, flags: 0x100 }],
  ["another magic", { ...ALIKE, magic: 0x11223345 }],
  ["another version", { ...ALIKE, version: 2 }],
];
for (const [what, parts] of BEHIND_ALIKE) {
  Deno.test(`A packet behind packets of zero pages means the same if they arrive together: ${what}`, async () => {
    const bytes = concat([packet(ALIKE), packet(ALIKE), packet(parts), packet(ALIKE)]);
    const read = async (size: number) => {
      const specs = ["b", "c"].map((name) => ({ name, length: 40 * 4096 }));
      const ram = GuestRam.create(specs);
      for (const block of ram.blocks) block.received.fill(0, block.pageCount, false);
      const reader = readerOf(ram, bytes, NONE, size);
      const error = await readAll(reader).then(() => undefined, (thrown: Error) => thrown.message);
      const received = ram.blocks.map(({ received, pageCount }) =>
        Array.from({ length: pageCount }, (_, page) => received.has(page))
      );
      const { packets, zeroPages, normalPages } = reader;
      return { error, received, packets, zeroPages, normalPages, content: contentOf(ram, "b") };
    };
    const together = await read(65_536);
    assertEquals(together, await read(HEADER));
    assert(together.packets >= 2);
  });
}

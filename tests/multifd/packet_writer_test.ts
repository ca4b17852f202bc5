import { assert, assertEquals } from "@std/assert";
import { concat } from "@std/bytes";
import zlib from "node:zlib";
import { HashLog } from "../../src/dirty/hash_log.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { PacketWriter, type PacketWriterOptions } from "../../src/multifd/packet_writer.ts";
import { patternedRam } from "../ram/fixtures/patterned_ram.ts";
import { HEADER, packet, PAGES, pagesOf, syncPacket } from "./fixtures/packets.ts";
import { inSegments } from "./fixtures/ram.ts";
import "../support/load_libc.ts";

const PLAIN: PacketWriterOptions = {
  detectZero: true,
  compression: { method: "none", level: 0 },
};

/** A writer whose packets are numbered from 0. */
function makeWriter(ram: GuestRam, options: Partial<PacketWriterOptions> = {}): PacketWriter {
  let number = 0;
  return new PacketWriter(ram, { ...PLAIN, ...options }, (count) => (number += count) - count);
}

/** One block, "b", whose pages have the numbers' content; those left out are zeros. */
function ramWith(pageCount: number, ...numbers: number[]): GuestRam {
  const ram = GuestRam.create([{ name: "b", length: pageCount * 4096 }]);
  const [block] = ram.blocks;
  for (const page of numbers) {
    block!.view(page * 4096, 4096).set(pagesOf(page));
    block!.untouched.delete(page);
  }
  return ram;
}

/** Packs some runs into packets. */
async function pack(writer: PacketWriter, ram: GuestRam, ...runs: [number, number][]) {
  const [block] = ram.blocks;
  for (const [first, count] of runs) {
    for (let page = first; page < first + count;) {
      const added = writer.add(block!, page, first + count - page);
      if (added === 0) await writer.close();
      page += added;
    }
  }
  await writer.close();
  return concat(writer.take().map((part) => Uint8Array.from(part)));
}

Deno.test("PacketWriter writes a packet as QEMU 10.0 does, byte for byte", async () => {
  const ram = ramWith(10, 1, 2, 5);
  const written = await pack(makeWriter(ram), ram, [0, 6]);
  const expected = packet({
    block: "b",
    normal: [4096, 8192, 5 * 4096],
    zero: [0, 3 * 4096, 4 * 4096],
    payload: pagesOf(1, 2, 5),
  });
  assertEquals(written, expected);
});

/** Packets full of zero pages. */
function zeroPackets(first: number, packets: number, number = 0): Uint8Array<ArrayBuffer> {
  return concat(Array.from({ length: packets }, (_, i) =>
    packet({
      block: "b",
      number: number + i,
      zero: Array.from({ length: PAGES }, (_, page) => (first + PAGES * i + page) * 4096),
    })));
}

Deno.test("PacketWriter.addUntouched() makes whole packets up to the first page that was touched", () => {
  const ram = ramWith(1000, 400);
  const [block] = ram.blocks;
  const writer = makeWriter(ram);
  assertEquals(writer.addUntouched(block!, 7, 993), 3 * PAGES);
  assertEquals(writer.addUntouched(block!, 7 + 3 * PAGES, 1000 - 7 - 3 * PAGES), 0);
  assertEquals(writer.addUntouched(block!, 0, PAGES - 1), 0);
  assertEquals(writer.addUntouched(block!, 1000 - PAGES, PAGES), PAGES);
  assertEquals([writer.packets, writer.zeroPages, writer.normalPages], [4, 4 * PAGES, 0]);
  assertEquals(
    concat(writer.take().map((part) => Uint8Array.from(part))),
    concat([zeroPackets(7, 3), zeroPackets(1000 - PAGES, 1, 3)]),
  );
});

Deno.test("PacketWriter.addUntouched() makes no more than the buffer is for", () => {
  const ram = ramWith(64 * PAGES);
  const [block] = ram.blocks;
  const writer = makeWriter(ram);
  const fitting = Math.ceil(64 * 1024 / HEADER);
  assertEquals(writer.addUntouched(block!, 0, 64 * PAGES), fitting * PAGES);
  assert(writer.full);
  assertEquals(writer.take()[0]!.length, fitting * HEADER);
});

Deno.test("PacketWriter.addUntouched() leaves pages alone that are sent in another way", async () => {
  const ram = ramWith(4 * PAGES, 0);
  const [block] = ram.blocks;
  const all = makeWriter(ram, { detectZero: false });
  assertEquals(all.addUntouched(block!, PAGES, PAGES), 0, "zero pages are sent with content");
  const writer = makeWriter(ram);
  writer.add(block!, 0, 1);
  assertEquals(writer.addUntouched(block!, PAGES, PAGES), 0, "a packet is begun");
  await writer.close();
  writer.take();
  assertEquals(writer.addUntouched(block!, PAGES, PAGES), PAGES);
});

Deno.test("PacketWriter sends few runs from their place in RAM, and many copied together", async () => {
  const ram = ramWith(100, ...Array.from({ length: 50 }, (_, i) => 2 * i));
  const writer = makeWriter(ram);
  const [block] = ram.blocks;
  for (let page = 0; page < 32; page += 2) writer.add(block!, page, 1);
  await writer.close();
  assert(writer.full);
  const parts = writer.take();
  assertEquals(parts.length, 17, "a header and 16 runs");
  assert(parts.slice(1).every((part) => part.buffer === ram.memories[0]!.buffer));
  for (let page = 0; page < 34; page += 2) writer.add(block!, page, 1);
  await writer.close();
  const copied = writer.take();
  assertEquals(copied.length, 1);
  const numbers = Array.from({ length: 17 }, (_, i) => 2 * i);
  assertEquals(
    Uint8Array.from(copied[0]!),
    packet({
      block: "b",
      number: 1,
      normal: numbers.map((page) => page * 4096),
      payload: pagesOf(...numbers),
    }),
  );
});

Deno.test("PacketWriter ends a packet where it is full", async () => {
  const ram = ramWith(300);
  const writer = makeWriter(ram);
  const written = await pack(writer, ram, [0, 300]);
  assertEquals(written.length, 3 * HEADER);
  const view = new DataView(written.buffer);
  assertEquals([0, 1, 2].map((i) => view.getUint32(i * HEADER + 32)), [PAGES, PAGES, 44]);
  assertEquals([0, 1, 2].map((i) => view.getUint32(i * HEADER + 28)), [0, 1, 2]);
  assertEquals([writer.packets, writer.normalPages, writer.zeroPages], [3, 0, 300]);
});

Deno.test("PacketWriter ends a packet where a block or a memory ends", async () => {
  const ram = inSegments(patternedRam(true));
  const writer = makeWriter(ram);
  assertEquals(writer.add(ram.blocks[0]!, 0, 5), 3, "the first segment has three pages");
  assertEquals(writer.add(ram.blocks[0]!, 3, 2), 0, "the second lies in another memory");
  await writer.close();
  assertEquals(writer.add(ram.blocks[0]!, 3, 2), 2);
  assertEquals(writer.add(ram.blocks[1]!, 0, 1), 0, "another block");
  await writer.close();
  assertEquals(writer.packets, 2);
});

Deno.test("PacketWriter does not look at untouched pages, nor for zeros where it is not to", async () => {
  const ram = ramWith(4, 1);
  // A page that is marked as untouched is listed as zeros whatever it holds: it was not read.
  ram.blocks[0]!.untouched.add(1);
  const skipped = await pack(makeWriter(ram), ram, [1, 1]);
  assertEquals(skipped, packet({ block: "b", zero: [4096] }));
  ram.blocks[0]!.untouched.delete(1);
  const raw = await pack(makeWriter(ram, { detectZero: false }), ram, [0, 2]);
  const payload = concat([new Uint8Array(4096), pagesOf(1)]);
  assertEquals(raw, packet({ block: "b", normal: [0, 4096], payload }));
});

Deno.test("PacketWriter.addSync() adds a SYNC without pages", () => {
  const writer = makeWriter(ramWith(4));
  writer.addSync();
  assertEquals(concat(writer.take().map((part) => Uint8Array.from(part))), syncPacket());
  assertEquals(writer.take(), []);
});

Deno.test("PacketWriter numbers packets beyond 32 bits", async () => {
  const ram = ramWith(1);
  const writer = new PacketWriter(ram, PLAIN, () => 5 * 2 ** 32 + 6);
  const written = await pack(writer, ram, [0, 1]);
  assertEquals(written.slice(24, 32).toHex(), "0000000500000006");
});

Deno.test("PacketWriter leaves what was taken alone until the next take but one", async () => {
  const ram = ramWith(40, ...Array.from({ length: 40 }, (_, i) => i));
  const writer = makeWriter(ram, { compression: { method: "zlib", level: 1 } });
  const [block] = ram.blocks;
  const take = async (page: number) => {
    writer.add(block!, page, 20);
    await writer.close();
    return writer.take();
  };
  const first = await take(0);
  const copy = first.map((part) => Uint8Array.from(part));
  await take(20);
  assertEquals(first.map((part) => Uint8Array.from(part)), copy);
  writer.free();
});

for (const method of ["zlib", "zstd"] as const) {
  Deno.test(`PacketWriter compresses with ${method}: flags, length and a payload that expands`, async () => {
    const ram = ramWith(10, 1, 2, 5);
    const writer = makeWriter(ram, { compression: { method, level: 1 } });
    const written = await pack(writer, ram, [0, 6]);
    writer.free();
    const payload = written.slice(HEADER);
    const flags = method === "zlib" ? 2 : 4;
    const expected = packet({
      ...{ block: "b", flags, payloadBytes: payload.length },
      ...{ normal: [4096, 8192, 5 * 4096], zero: [0, 3 * 4096, 4 * 4096] },
    });
    assertEquals(written.slice(0, HEADER), expected);
    const expanded = method === "zlib"
      ? zlib.inflateSync(payload, { finishFlush: zlib.constants.Z_SYNC_FLUSH })
      : zlib.zstdDecompressSync(payload, { finishFlush: zlib.constants.ZSTD_e_flush });
    assertEquals(new Uint8Array(expanded), pagesOf(1, 2, 5));
  });
}

for (const method of ["none", "zlib"] as const) {
  Deno.test(`PacketWriter with digests (${method}) sends copies, and notes the digest of what it sent`, async () => {
    const ram = ramWith(6, 1, 2, 5);
    for (let page = 0; page < 6; page++) ram.blocks[0]!.untouched.delete(page);
    ram.blocks[0]!.untouched.add(4);
    const log = new HashLog(ram);
    await log.start();
    const writer = makeWriter(ram, {
      compression: { method, level: 1 },
      digests: log.digests,
    });
    const written = await pack(writer, ram, [0, 6]);
    writer.free();
    const raw = method === "none" ? written.slice(HEADER) : new Uint8Array(
      zlib.inflateSync(written.slice(HEADER), { finishFlush: zlib.constants.Z_SYNC_FLUSH }),
    );
    assertEquals(raw, pagesOf(1, 2, 5));
    // What was sent is as it was; what is written now differs from it.
    assertEquals(await log.sync(), 0);
    ram.blocks[0]!.view(2 * 4096, 1)[0]! ^= 1;
    assertEquals(await log.sync(), 1);
    await log.stop();
  });
}

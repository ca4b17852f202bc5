import { assert, assertEquals, assertThrows } from "@std/assert";
import { IncompatibleError, StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import type { MultifdMethod } from "../../src/multifd/method.ts";
import { PacketHeaderReader } from "../../src/multifd/packet_header.ts";
import { packet, type PacketParts } from "./fixtures/packets.ts";

const ram = GuestRam.create([{ name: "low", length: 8192 }, { name: "pc.ram", length: 65536 }]);

function read(parts: PacketParts, method: MultifdMethod = "none") {
  return readBytes(new PacketHeaderReader(ram, method), packet(parts));
}

function readBytes(reader: PacketHeaderReader, bytes: Uint8Array) {
  // Not at the start, as in the receiving buffer.
  const buffer = new Uint8Array(bytes.length + 100);
  buffer.set(bytes, 100);
  return reader.read(buffer, new DataView(buffer.buffer), 100);
}

Deno.test("PacketHeaderReader reads what a packet says", () => {
  const header = read({ block: "pc.ram", normal: [0, 4096], zero: [8192], payloadBytes: 8192 });
  assertEquals(
    { ...header, block: header.block?.name },
    { sync: false, block: "pc.ram", normalPages: 2, zeroPages: 1, payload: 8192 },
  );
});

Deno.test("PacketHeaderReader knows the block again, and another when it comes", () => {
  const reader = new PacketHeaderReader(ram, "none");
  for (const block of ["low", "low", "pc.ram", "low"]) {
    assertEquals(readBytes(reader, packet({ block, zero: [0] })).block?.name, block);
  }
  // A name that begins like the last one is another.
  assertThrows(() => readBytes(reader, packet({ block: "lowest", zero: [0] })), IncompatibleError);
  assertThrows(() => readBytes(reader, packet({ block: "lo", zero: [0] })), IncompatibleError);
});

Deno.test("PacketHeaderReader believes a packet without pages nothing else, as QEMU 7.2 sends them", () => {
  const header = read({ flags: 1, block: "nonsense", payloadBytes: 123456 });
  assertEquals(header, { sync: true, block: undefined, normalPages: 0, zeroPages: 0, payload: 0 });
});

Deno.test("PacketHeaderReader takes a SYNC that rides on pages, as QEMU 7.2 sends them", () => {
  const header = read({ flags: 1 | 4, block: "low", normal: [4096], payloadBytes: 99 }, "zstd");
  assertEquals([header.sync, header.normalPages, header.payload], [true, 1, 99]);
});

Deno.test("PacketHeaderReader takes a packet of zero pages whatever its method and payload say", () => {
  const header = read({ flags: 2, block: "low", zero: [0, 4096], payloadBytes: 77 }, "zstd");
  assertEquals([header.zeroPages, header.payload], [2, 0]);
});

const pages = (count: number) => Array.from({ length: count }, (_, i) => i * 4096);

/** What is wrong, and what the message says. */
const REFUSED: readonly (readonly [PacketParts, string, MultifdMethod?])[] = [
  [{ magic: 0x5145564d }, "magic 0x5145564d"],
  [{ version: 2 }, "version 2"],
  [{ flags: 0x80 }, "unknown flags 0x80"],
  [{ flags: 0x80000000 }, "unknown flags 0x80000000"],
  [{ allocated: 129 }, "for 129 pages: at most 128"],
  [{ allocated: 0xffffffff, normalPages: 0xffffffff }, "at most 128"],
  [{ allocated: 2, normal: pages(3), block: "low" }, "3 pages and 0 zero pages has room for 2"],
  [{ normal: pages(100), zeroPages: 29, block: "low" }, "100 pages and 29 zero pages"],
  [{ normalPages: 0xffffffff, block: "low" }, "4294967295 pages"],
  [{ zeroPages: 0xffffffff, block: "low" }, "4294967295 zero pages"],
  [{ block: "low", normal: [0], payloadBytes: 4095 }, "1 pages with a payload of 4095 bytes"],
  [{ block: "low", normal: [0], payloadBytes: 8192 }, "a payload of 8192 bytes"],
  [{ flags: 4, block: "low", normal: [0], payloadBytes: 0 }, "a payload of 0 bytes", "zstd"],
  [{ flags: 4, block: "low", normal: [0], payloadBytes: 1048577 }, "of 1048577 bytes", "zstd"],
  [{ block: "x".repeat(256), zero: [0] }, "a block name that does not end"],
];
for (const [parts, message, method] of REFUSED) {
  Deno.test(`PacketHeaderReader refuses a packet: ${message}`, () => {
    assertThrows(() => read(parts, method), StreamFormatError, message);
  });
}

const STRANGE: readonly (readonly [PacketParts, string, MultifdMethod?])[] = [
  [{ flags: 0x40 }, "device state"],
  [{ block: "vga.vram", zero: [0] }, 'RAM block "vga.vram", which this machine does not have'],
  [{ block: "", zero: [0] }, 'RAM block ""'],
  [
    { flags: 2, block: "low", normal: [0], payloadBytes: 9 },
    "with zlib: this side expects zstd",
    "zstd",
  ],
  [
    { flags: 0, block: "low", normal: [0], payloadBytes: 4096 },
    "none: this side expects zlib",
    "zlib",
  ],
  [
    { flags: 0x20, block: "low", normal: [0], payloadBytes: 4096 },
    "qatzip: this side expects none",
  ],
];
for (const [parts, message, method] of STRANGE) {
  Deno.test(`PacketHeaderReader refuses a packet of other settings: ${message}`, () => {
    const error = assertThrows(() => read(parts, method), IncompatibleError, message);
    assert(parts.flags === 0x40 || error.advice);
  });
}

Deno.test("PacketHeaderReader refuses a name that is not UTF-8", () => {
  const bytes = packet({ block: "low", zero: [0] });
  bytes[64] = 0xff;
  assertThrows(() => readBytes(new PacketHeaderReader(ram, "none"), bytes), StreamFormatError);
});

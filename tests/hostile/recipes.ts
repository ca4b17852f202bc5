/**
 * Bad streams, each as what is changed in a good one, and what the destination must say.
 *
 * @module
 */
import { concat } from "@std/bytes";
import { RamFlag } from "../../src/ram/flags.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { fromHex } from "../wire/vectors.ts";
import { PAGE, type Parts, withPart } from "./stream_parts.ts";

/** A recipe. */
export interface Recipe {
  /** What is wrong, as the end of a sentence. */
  readonly what: string;
  readonly change: (parts: Parts) => Parts;
  /** The error's class. */
  readonly type: "StreamFormatError" | "IncompatibleError" | "ConnectionLostError" | "StateError";
  /** A part of its message. */
  readonly says: string;
  /** The section it names, if it is in one. */
  readonly section?: string;
}

function bytes(write: (writer: ByteWriter) => void): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  write(writer);
  return writer.take();
}

/** Replaces a part. */
const put = (name: string, ...replacements: Uint8Array<ArrayBuffer>[]) => (parts: Parts) =>
  withPart(parts, name, () => concat(replacements));

/** Changes bytes of a part in place. */
const patch = (name: string, at: number, hex: string) => (parts: Parts) =>
  withPart(parts, name, (part) => {
    part.set(fromHex(hex), at < 0 ? part.length + at : at);
    return part;
  });

/** Puts bytes in front of a part. */
const before = (name: string, added: Uint8Array<ArrayBuffer>) => (parts: Parts) =>
  withPart(parts, name, (part) => concat([added, part]));

const without = (...names: string[]) => (parts: Parts) =>
  new Map([...parts].filter(([name]) => !names.includes(name)));

const record = (offset: bigint | number, flags: number, block: string, fill?: number) =>
  bytes((writer) => {
    writer.be64(BigInt(offset) | BigInt(flags)).countedString(block);
    if (fill === undefined) writer.bytes(PAGE);
    else writer.u8(fill);
  });

const differences = (offset: bigint | number, hex: string) =>
  bytes((writer) => {
    writer.be64(BigInt(offset) | BigInt(RamFlag.XBZRLE)).countedString("high").bytes(fromHex(hex));
  });

const list = (total: number | bigint, ...blocks: [string, number | bigint][]) =>
  bytes((writer) => {
    writer.be64(BigInt(total) | BigInt(RamFlag.MEM_SIZE));
    for (const [name, length] of blocks) writer.countedString(name).be64(length);
  });

const section = (name: string, id: number, instance: number, version: number, type = 4) =>
  bytes((writer) => writer.u8(type).be32(id).countedString(name).be32(instance).be32(version));

/** Everything that is refused. */
export const RECIPES: readonly Recipe[] = [
  // ── the beginning ───────────────────────────────────────────────────────────────────────────
  {
    what: "is no stream but a web browser",
    change: put("header", new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n")),
    type: "StreamFormatError",
    says: 'begins with 0x47455420, not "QEVM"',
  },
  {
    what: "is zeros",
    change: put("header", new Uint8Array(100_000)),
    type: "StreamFormatError",
    says: "begins with 0x00000000",
  },
  {
    what: "is of the old version",
    change: patch("header", 4, "00000002"),
    type: "IncompatibleError",
    says: "version 2 is obsolete",
  },
  {
    what: "is of a version that does not exist",
    change: patch("header", 4, "00000004"),
    type: "IncompatibleError",
    says: "version 4 is unknown",
  },
  {
    what: "has no configuration",
    change: without("configuration"),
    type: "StreamFormatError",
    says: "Configuration section missing",
  },
  {
    what: "names a machine with four gigabytes of letters",
    change: put("configuration", fromHex("07 ffffffff")),
    type: "StreamFormatError",
    says: "The machine's name of 4294967295 bytes",
  },
  {
    what: "is of another machine",
    change: put("configuration", fromHex("07 00000002 7063")),
    type: "IncompatibleError",
    says: 'of a machine "pc"',
  },
  {
    what: "is of a machine whose name is commands to the terminal",
    change: put("configuration", fromHex("07 00000005 1b5b324a07")),
    type: "IncompatibleError",
    says: "\\u{1b}[2J\\u{7}",
  },
  {
    what: "has pages of another size",
    change: (parts) =>
      withPart(parts, "configuration", (part) =>
        concat([
          part,
          bytes((writer) =>
            writer.u8(5).countedString("configuration/target-page-bits").be32(1).be32(10)
          ),
        ])),
    type: "IncompatibleError",
    says: "Pages of 1024 bytes there and of 4096 here",
  },
  {
    what: "has random bytes behind its header",
    change: put("configuration", fromHex("93e1f00d4711")),
    type: "StreamFormatError",
    says: "found 0x93",
  },
  // ── elements ────────────────────────────────────────────────────────────────────────────────
  {
    what: "has an element of unknown type",
    change: before("ram header", fromHex("42")),
    type: "StreamFormatError",
    says: "Unknown section type 0x42",
  },
  {
    what: "has an unknown command",
    change: before("ram header", fromHex("08 00ff 0000")),
    type: "StreamFormatError",
    says: "Unknown command 255",
  },
  {
    what: "has a PING of another length",
    change: put("ping", fromHex("08 0002 ffff")),
    type: "StreamFormatError",
    says: "PING with 65535 bytes, not 4",
  },
  {
    what: "pings without a return path",
    change: without("open return path"),
    type: "StreamFormatError",
    says: "PING without a return path",
    section: "PING",
  },
  {
    what: "has a command that this migration does not allow",
    change: before("ram header", fromHex("08 0005 0000")),
    type: "StreamFormatError",
    says: "POSTCOPY_RUN",
    section: "POSTCOPY_RUN",
  },
  {
    what: "has a section without a name",
    change: put("ram header", fromHex("01 00000001 00 00000000 00000004")),
    type: "StreamFormatError",
    says: "Section without a name",
  },
  {
    what: "has a section that this machine does not have",
    change: put("globalstate header", section("vga", 2, 0, 1)),
    type: "IncompatibleError",
    says: 'no section "vga" instance 0',
    section: "vga/0",
  },
  {
    what: "has a section with a name as long as names can be",
    change: put("globalstate header", section("x".repeat(255), 2, 0xffffffff, 1)),
    type: "IncompatibleError",
    says: "instance 4294967295",
    section: `${"x".repeat(255)}/4294967295`,
  },
  {
    what: "has another instance of a section",
    change: put("vcpu header", section("vcpu", 3, 1, 1)),
    type: "IncompatibleError",
    says: 'no section "vcpu" instance 1',
    section: "vcpu/1",
  },
  {
    what: "has a section of a version to come",
    change: put("vcpu header", section("vcpu", 3, 0, 2)),
    type: "IncompatibleError",
    says: "version 2; 1 to 1 can be loaded",
    section: "vcpu/0",
  },
  {
    what: "has a RAM section of another version",
    change: put("ram header", section("ram", 1, 0, 3, 1)),
    type: "StreamFormatError",
    says: "RAM section version 3",
    section: "ram/0",
  },
  {
    what: "goes on with a section that has not begun",
    change: patch("ram part", 1, "00000009"),
    type: "StreamFormatError",
    says: "Section 9 goes on without having begun",
  },
  {
    what: "begins RAM a second time",
    change: before("ram part", section("ram", 7, 0, 4, 1)),
    type: "StreamFormatError",
    says: "second RAM section",
    section: "ram/0",
  },
  {
    what: "has no footer",
    change: patch("ram start footer", 0, "00"),
    type: "StreamFormatError",
    says: "Missing section footer: found 0x00, not 0x7e",
    section: "ram/0",
  },
  {
    what: "has the footer of another section",
    change: patch("globalstate footer", 1, "00000001"),
    type: "StreamFormatError",
    says: "Section footer with id 1, not 2",
    section: "globalstate/0",
  },
  {
    what: "has device state before RAM",
    change: before("ram header", section("globalstate", 2, 0, 1)),
    type: "StateError",
    says: "Device state before the RAM section",
    section: "globalstate/0",
  },
  // ── the list of blocks ──────────────────────────────────────────────────────────────────────
  {
    what: "has a block that this machine does not have",
    change: put("block list", list(0x8000, ["low", 0x3000], ["hugh", 0x5000])),
    type: "IncompatibleError",
    says: 'RAM block "hugh", which this machine does not have',
    section: "ram/0",
  },
  {
    what: "lacks a block that this machine has",
    change: put("block list", list(0x3000, ["low", 0x3000])),
    type: "IncompatibleError",
    says: 'no RAM block "high"',
    section: "ram/0",
  },
  {
    what: "has a block of another size",
    change: put("block list", list(0x9000, ["low", 0x3000], ["high", 0x6000])),
    type: "IncompatibleError",
    says: 'RAM block "high" has 24576 bytes there and 20480 here',
    section: "ram/0",
  },
  {
    what: "has a block twice",
    change: put("block list", list(0x6000, ["low", 0x3000], ["low", 0x3000])),
    type: "StreamFormatError",
    says: 'RAM block "low" is listed twice',
    section: "ram/0",
  },
  {
    what: "has a block without a name",
    change: put("block list", list(0x8000, ["", 0x3000])),
    type: "StreamFormatError",
    says: "RAM block without a name",
    section: "ram/0",
  },
  {
    what: "has a block that is no text",
    change: put("block list", fromHex("0000000000008004 02 c328 0000000000003000")),
    type: "StreamFormatError",
    says: "not text",
    section: "ram/0",
  },
  {
    what: "has blocks that are more than their sum",
    change: put("block list", list(0x4000, ["low", 0x3000], ["high", 0x5000])),
    type: "StreamFormatError",
    says: 'RAM block "high" of 20480 bytes: only 4096 of 16384 are left',
    section: "ram/0",
  },
  {
    what: "has blocks that are less than their sum",
    change: put("block list", list(0x9000, ["low", 0x3000], ["high", 0x5000])),
    type: "StreamFormatError",
    says: "RAM block without a name",
    section: "ram/0",
  },
  {
    what: "has a block that is no whole pages",
    change: put("block list", list(0x8000, ["low", 0x3001], ["high", 0x4fff])),
    type: "StreamFormatError",
    says: "not whole pages of 4096",
    section: "ram/0",
  },
  {
    what: "claims more RAM than there is in the world",
    change: put("block list", list(2n ** 63n, ["low", 2n ** 63n])),
    type: "StreamFormatError",
    says: "at most 1099511627776 are received",
    section: "ram/0",
  },
  {
    what: "has a block longer than numbers",
    change: put("block list", list(0x8000, ["low", 2n ** 64n - 4096n])),
    type: "StreamFormatError",
    says: "absurd",
    section: "ram/0",
  },
  {
    what: "has blocks of no length without end",
    change: put(
      "block list",
      list(0x8000, ...Array.from({ length: 5000 }, (_, i): [string, number] => [`b${i}`, 0])),
    ),
    type: "StreamFormatError",
    says: "More than 4096 RAM blocks",
    section: "ram/0",
  },
  {
    what: "changes its mind about the blocks",
    change: before("pages of low", list(0x4000, ["low", 0x4000])),
    type: "StreamFormatError",
    says: "was not in the first list",
    section: "ram/0",
  },
  // ── pages ───────────────────────────────────────────────────────────────────────────────────
  {
    what: "has pages before the list of blocks",
    change: put("block list", record(0, RamFlag.PAGE, "low")),
    type: "StreamFormatError",
    says: "Pages before the list of RAM blocks",
    section: "ram/0",
  },
  {
    what: "has a page of a block that this machine does not have",
    change: put("page of high", record(0, RamFlag.PAGE, "hi")),
    type: "IncompatibleError",
    says: 'Page of RAM block "hi", which this machine does not have',
    section: "ram/0",
  },
  {
    what: "has a page of a block without a name",
    change: put("page of high", record(0, RamFlag.PAGE, "")),
    type: "IncompatibleError",
    says: 'RAM block ""',
    section: "ram/0",
  },
  ...([
    ["just behind its block", 0x5000n],
    ["of the block's neighbour", 0x6000n],
    ["a gigabyte behind its block", 0x40000000n],
    ["where 32 bits begin again", 0x100000000n],
    ["where signs change", 0x8000000000000000n],
    ["just before its block", 0xfffffffffffff000n],
  ] as const).flatMap(([where, offset]): Recipe[] => [
    {
      what: `has a page ${where}`,
      change: put("page of high", record(offset, RamFlag.PAGE, "high")),
      type: "StreamFormatError",
      says: `Page at 0x${offset.toString(16)} is outside RAM block "high" of 0x5000 bytes`,
      section: "ram/0",
    },
    {
      what: `has zeros ${where}`,
      change: put("page of high", record(offset, RamFlag.ZERO, "high", 0)),
      type: "StreamFormatError",
      says: "is outside RAM block",
      section: "ram/0",
    },
    {
      what: `has a page of another fill ${where}`,
      change: put("page of high", record(offset, RamFlag.ZERO, "high", 7)),
      type: "StreamFormatError",
      says: "is outside RAM block",
      section: "ram/0",
    },
    {
      what: `has differences of a page ${where}`,
      change: put("page of high", differences(offset, "01 0003 00 01 05")),
      type: "StreamFormatError",
      says: "is outside RAM block",
      section: "ram/0",
    },
    {
      what: `has differences ${where} that continue the block`,
      change: put(
        "pages of high",
        bytes((writer) => writer.be64(offset | 0x60n).bytes(fromHex("01 0003 00 01 05"))),
      ),
      type: "StreamFormatError",
      says: "is outside RAM block",
      section: "ram/0",
    },
    {
      what: `has a page ${where} that continues the block`,
      change: put(
        "pages of high",
        bytes((writer) => writer.be64(offset | 0x28n).bytes(PAGE)),
      ),
      type: "StreamFormatError",
      says: "is outside RAM block",
      section: "ram/0",
    },
    {
      what: `has zeros ${where} that continue the block`,
      change: put("pages of high", bytes((writer) => writer.be64(offset | 0x22n).u8(0))),
      type: "StreamFormatError",
      says: "is outside RAM block",
      section: "ram/0",
    },
  ]),
  ...([
    ["of another encoding", 0, "02 0003 00 01 05", "encoding 2"],
    ["longer than a page", 0, "01 1001", "4097 bytes"],
    ["as long as can be said", 0, "01 ffff", "65535 bytes"],
    [
      "behind the last page, by what they skip",
      0x4000,
      "01 0005 ff7f 01 05 05",
      "go beyond the page",
    ],
    [
      "behind the last page, by what they write",
      0x4000,
      "01 0005 ff1f 02 05 05",
      "go beyond the page",
    ],
    ["of more bytes than there are", 0, "01 0003 00 05 05", "ends inside"],
    ["with a length that never ends", 0, "01 0003 ffffff", "more than two bytes"],
  ] as const).map(([which, offset, data, says]): Recipe => ({
    what: `has differences ${which}`,
    change: put("page of high", differences(offset, data)),
    type: "StreamFormatError",
    says,
    section: "ram/0",
  })),
  {
    what: "has a page at an offset that is no page's",
    change: put("page of high", record(0x801, RamFlag.PAGE, "high")),
    type: "StreamFormatError",
    says: "which is no record",
    section: "ram/0",
  },
  {
    what: "continues a block before it named one",
    change: put("pages of low", bytes((writer) => writer.be64(0x28).bytes(PAGE))),
    type: "StreamFormatError",
    says: "continues no block",
    section: "ram/0",
  },
  ...([
    ["with no flag", 0x000, "no flag"],
    ["of the year 2009", 0x001, "no flag"],
    ["that is two things at once", 0x00a, "ZERO|PAGE"],
    ["that ends and goes on", 0x030, "EOS|CONTINUE"],
    ["that only RDMA has", 0x080, "HOOK"],
    ["of a removed kind", 0x100, "COMPRESS_PAGE"],
  ] as const).map(([which, flags, says]): Recipe => ({
    what: `has a record ${which}`,
    change: before("pages of low", bytes((writer) => writer.be64(flags))),
    type: "StreamFormatError",
    says,
    section: "ram/0",
  })),
  // ── device state ────────────────────────────────────────────────────────────────────────────
  {
    what: "has a run state that is none",
    change: patch("globalstate payload", 4, "6576696c65766c"),
    type: "StreamFormatError",
    says: "Unknown run state",
    section: "globalstate/0",
  },
  {
    what: "has a run state longer than its room",
    change: patch("globalstate payload", 0, "ffffffff"),
    type: "StreamFormatError",
    says: "Unknown run state",
    section: "globalstate/0",
  },
  {
    what: "has a run state in which no machine arrives",
    change: patch("globalstate payload", 0, "0000000d 726573746f72652d766d00"),
    type: "StreamFormatError",
    says: "Unknown run state",
    section: "globalstate/0",
  },
  {
    what: "has a vCPU's state of four gigabytes",
    change: patch("vcpu payload", 0, "ffffffff"),
    type: "StreamFormatError",
    says: "A vCPU's state of 4294967295 bytes: at most 67108864",
    section: "vcpu/0",
  },
  {
    what: "has a vCPU's state longer than what follows",
    change: patch("vcpu payload", 0, "00100000"),
    type: "ConnectionLostError",
    says: "The stream ended inside a vCPU's state",
    section: "vcpu/0",
  },
  {
    what: "has a vCPU's state of nothing",
    change: put("vcpu payload", fromHex("00000000")),
    type: "IncompatibleError",
    says: "state",
    section: "vcpu/0",
  },
  {
    what: "has a vCPU's state of another guest",
    change: put(
      "vcpu payload",
      bytes((writer) => writer.be32(12).u8(1).be16(5).bytes(PAGE.subarray(0, 5)).zeros(4)),
    ),
    type: "IncompatibleError",
    says: "state",
    section: "vcpu/0",
  },
  // ── the end ─────────────────────────────────────────────────────────────────────────────────
  {
    what: "has no RAM",
    change: without(
      ...["ram header", "block list", "ram start end", "ram start footer", "ram part"],
      ...["pages of low", "page of high", "pages of high", "ram part end", "ram part footer"],
      ...["ram end", "ram end end", "ram end footer"],
      ...["globalstate header", "globalstate payload", "globalstate footer"],
      ...["vcpu header", "vcpu payload", "vcpu footer"],
    ),
    type: "StreamFormatError",
    says: "ended before all of its RAM had come",
  },
  {
    what: "ends before the last of RAM has come",
    change: without("ram end", "ram end end", "ram end footer", "pages of high"),
    type: "StreamFormatError",
    says: "ended before all of its RAM had come",
  },
  {
    what: "has no state of the vCPU",
    change: without("vcpu header", "vcpu payload", "vcpu footer"),
    type: "IncompatibleError",
    says: "no state of vCPU 0",
  },
];

import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import {
  type BlockListDialect,
  pageSizesOf,
  RAM_MAX,
  type RamBlockEntry,
  readBlockList,
  writeBlockList,
} from "../../src/ram/block_list.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { byteByByte, everySplit } from "../support/split_feed.ts";
import { fromHex, text, written } from "../wire/vectors.ts";

const PLAIN: BlockListDialect = { pageSize: 4096 };

/** Lists as QEMU sends them: what it is of, the dialect, the bytes after the header. */
const VECTORS: readonly (readonly [readonly RamBlockEntry[], BlockListDialect, string])[] = [
  [[], PLAIN, ""],
  [
    [{ name: "pc.ram", length: 0x8000000 }, { name: "rom", length: 0x40000 }],
    PLAIN,
    `06 ${text("pc.ram")} 0000000008000000 03 ${text("rom")} 0000000000040000`,
  ],
  [
    [{ name: "mem", length: 0x200000, hostPageSize: 0x200000 }, { name: "rom", length: 0x1000 }],
    { pageSize: 4096, hostPageSizes: 0x201000 },
    `03 ${text("mem")} 0000000000200000 0000000000200000 03 ${text("rom")} 0000000000001000`,
  ],
  [
    [{ name: "mem", length: 0x1000, guestAddress: 0xfffe0000n }],
    { pageSize: 4096, ignoreShared: true },
    `03 ${text("mem")} 0000000000001000 00000000fffe0000`,
  ],
];

for (const [blocks, dialect, hex] of VECTORS) {
  Deno.test(`A list of ${blocks.length} blocks is what QEMU sends, both ways: ${hex.slice(0, 30)}`, async () => {
    const total = blocks.reduce((sum, { length }) => sum + length, 0);
    const header = (total + 4).toString(16).padStart(16, "0");
    const bytes = fromHex(hex);
    assertEquals(written((writer) => writeBlockList(writer, blocks)), header + bytes.toHex());
    const readers = [byteByByte(bytes), ...[...everySplit(bytes)].map(({ reader }) => reader)];
    for (const reader of readers) {
      assertEquals(await readBlockList(reader, total, dialect), blocks);
      assertEquals(reader.position, bytes.length);
    }
    for (let length = 0; length < bytes.length; length++) {
      const cut = ByteReader.of(bytes.subarray(0, length));
      await assertRejects(() => readBlockList(cut, total, dialect), ConnectionLostError);
    }
  });
}

Deno.test("readBlockList() lets a file's format read what follows each block", async () => {
  const bytes = fromHex(`01 61 0000000000001000 ff 01 62 0000000000001000 fe`);
  const reader = ByteReader.of(bytes);
  const seen: string[] = [];
  await readBlockList(reader, 8192, {
    pageSize: 4096,
    afterBlock: async ({ name }) => void seen.push(`${name} ${await reader.u8("it")}`),
  });
  assertEquals(seen, ["a 255", "b 254"]);
});

Deno.test("readBlockList() takes the most RAM that is received, and not a byte more", async () => {
  const list = (length: number) =>
    ByteReader.of(new ByteWriter().countedString("a").be64(length).take());
  assertEquals((await readBlockList(list(RAM_MAX), RAM_MAX, PLAIN)).length, 1);
  await assertRejects(
    () => readBlockList(list(RAM_MAX + 4096), RAM_MAX + 4096, PLAIN),
    StreamFormatError,
    "at most",
  );
});

Deno.test("readBlockList() reads the page size of the last block, too", async () => {
  const bytes = fromHex(`03 ${text("mem")} 0000000000200000 0000000000200000 0000000000000010`);
  for (const reader of [byteByByte(bytes), ...[...everySplit(bytes)].map((each) => each.reader)]) {
    const list = await readBlockList(reader, 0x200000, { ...PLAIN, hostPageSizes: 0x40201000 });
    assertEquals(list, [{ name: "mem", length: 0x200000, hostPageSize: 0x200000 }]);
    assertEquals(await reader.be64("what follows"), 0x10n);
  }
});

Deno.test("readBlockList() takes nothing for a page size that was not announced", async () => {
  const block = `03 ${text("mem")} 0000000000400000`;
  const records = ["0000000000000200", "0000000000000010", "0000000000400000"];
  const cases = [...records.map((next) => [0x201000, next] as const), [0, "0000000000200000"]];
  for (const [hostPageSizes, next] of cases as (readonly [number, string])[]) {
    const reader = ByteReader.of(fromHex(block + next));
    const [entry] = await readBlockList(reader, 0x400000, { ...PLAIN, hostPageSizes });
    assertEquals(entry, { name: "mem", length: 0x400000 });
    assertEquals(await reader.be64("what follows"), BigInt(`0x${next}`));
  }
});

Deno.test("pageSizesOf() gives the sizes of which each is a bit", () => {
  assertEquals(pageSizesOf(0), []);
  assertEquals(pageSizesOf(0x40201000), [4096, 2 * 1024 ** 2, 1024 ** 3]);
  assertEquals(pageSizesOf(2 ** 52), [2 ** 52]);
});

Deno.test("readBlockList() refuses lists that lie", async () => {
  const list = (...blocks: [string, number | bigint][]) => {
    const writer = new ByteWriter();
    for (const [name, length] of blocks) writer.countedString(name).be64(length);
    return ByteReader.of(writer.take());
  };
  const refuse = (total: number, reader: ByteReader, message: string) =>
    assertRejects(
      () => readBlockList(reader, total, { pageSize: 4096 }),
      StreamFormatError,
      message,
    );
  await refuse(4096, list(["a", 8192]), "only 4096");
  await refuse(8192, list(["a", 4096], ["a", 4096]), "twice");
  await refuse(4096, list(["", 4096]), "without a name");
  await refuse(100, list(["a", 100]), "whole pages");
  await refuse(4096, list(["a", 2n ** 63n]), "absurd");
  await refuse(2 ** 50, list(["a", 4096]), "at most");
  await refuse(
    2 ** 30,
    list(...Array.from({ length: 5000 }, (_, i): [string, number] => [`b${i}`, 0])),
    "More than 4096",
  );
});

import { assert, assertEquals, assertRejects } from "@std/assert";
import { CancelledError, ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { MappedReader } from "../../src/mapped_ram/mapped_reader.ts";
import type { RamBlockEntry } from "../../src/ram/block_list.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { fileSpec } from "../../src/transport/file_channel.ts";
import { withFolder } from "../image/fixtures.ts";

const PAGE = 4096;
const OFFSET = 100;
const BLOCKS: RamBlockEntry[] = [
  { name: "a", length: 20 * PAGE },
  { name: "b", length: 700 * PAGE },
];
/** Where the blocks' headers stand in the file, and what they say. */
const PLACES = [
  { header: OFFSET, bitmap: 1000, pages: 3 * PAGE },
  { header: 23 * PAGE, bitmap: 24 * PAGE, pages: 25 * PAGE },
];

/** A file of two headers whose blocks have all but every third page, filled with its number. */
async function writeFile(path: string): Promise<void> {
  const end = PLACES[1]!.pages + BLOCKS[1]!.length;
  const bytes = new Uint8Array(end + 4);
  for (const [block, { header, bitmap, pages }] of PLACES.entries()) {
    const writer = new ByteWriter().be32(1).be64(PAGE).be64(bitmap).be64(pages);
    bytes.set(writer.take(), header);
    const count = BLOCKS[block]!.length / PAGE;
    // The bits behind the last page are set too.
    for (let page = 0; page < Math.ceil(count / 64) * 64; page++) {
      if (page % 3 === 0) continue;
      bytes[bitmap + (page >> 3)]! |= 1 << (page & 7);
      if (page < count) bytes.fill(page + block, pages + page * PAGE, pages + (page + 1) * PAGE);
    }
  }
  bytes.set([1, 2, 3, 4], end);
  await Deno.writeFile(path, bytes);
}

async function opened(path: string): Promise<MappedReader> {
  const mapped = new MappedReader(fileSpec(path, OFFSET, "read"));
  for (const block of BLOCKS) await mapped.readPlace(block, PAGE);
  return mapped;
}

Deno.test("MappedReader finds blocks and goes on behind their pages", () =>
  withFolder(async (folder) => {
    await writeFile(`${folder}/file`);
    using mapped = await opened(`${folder}/file`);
    assertEquals(mapped.reader.position, PLACES[1]!.pages + BLOCKS[1]!.length - OFFSET);
    assertEquals(await mapped.reader.be32("what follows"), 0x01020304);
    const pages = await mapped.readBitmaps(BLOCKS, PAGE);
    assertEquals([pages.bitmap(0).count(), pages.bitmap(1).count()], [13, 466]);
    assertEquals(pages.offset(1, 2, PAGE), PLACES[1]!.pages + 2 * PAGE);
    await assertRejects(() => mapped.refuseRecord(), StreamFormatError, "A page in the stream");
  }));

for (const threads of [1, 3]) {
  Deno.test(`MappedReader loads all pages with ${threads} threads, into blocks in any order`, () =>
    withFolder(async (folder) => {
      await writeFile(`${folder}/file`);
      using mapped = await opened(`${folder}/file`);
      const ram = GuestRam.create(BLOCKS.toReversed());
      // What was there before must not stay.
      ram.block("b")!.view(0, 9 * PAGE).fill(0xee);
      ram.block("b")!.untouched.fill(0, 9, false);
      const names = Array.from({ length: threads }, (_, i) => `pages ${i}`);
      let read = 0;
      await mapped.loadPages(
        ram,
        { names, file: fileSpec(`${folder}/file`, OFFSET, "read") },
        () => {},
        ({ counters }) => read = counters.length,
      );
      assertEquals(read, threads);
      for (const [index, { name }] of BLOCKS.entries()) {
        const block = ram.block(name)!;
        assertEquals(block.received.count(), block.pageCount);
        for (let page = 0; page < block.pageCount; page++) {
          const wanted = page % 3 === 0 ? 0 : (page + index) & 0xff;
          const bytes = block.view(page * PAGE, PAGE);
          assert(bytes.every((byte) => byte === wanted), `${name} ${page}`);
        }
      }
    }));
}

Deno.test("MappedReader gives up when it is told to, and when a file has shrunk", () =>
  withFolder(async (folder) => {
    const path = `${folder}/file`;
    await writeFile(path);
    using mapped = await opened(path);
    const threads = { names: ["pages"], file: fileSpec(path, OFFSET, "read") };
    const ram = () => GuestRam.create(BLOCKS);
    await assertRejects(
      () =>
        mapped.loadPages(ram(), threads, () => {
          throw new CancelledError("enough");
        }),
      CancelledError,
    );
    await Deno.truncate(path, 500 * PAGE);
    const error = await assertRejects(
      () => mapped.loadPages(ram(), threads),
      ConnectionLostError,
      'inside RAM block "b"',
    );
    assert(error instanceof ConnectionLostError);
    assertEquals(error.place.channel, "pages");
    await Deno.truncate(path, PLACES[1]!.bitmap + 3);
    await assertRejects(
      () => mapped.loadPages(ram(), threads),
      ConnectionLostError,
      'ends in the bitmap of block "b"',
    );
  }));

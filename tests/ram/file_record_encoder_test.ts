import { assert, assertEquals, assertThrows } from "@std/assert";
import { ConnectionLostError, StreamFormatError, TransportError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { FileRecordEncoder } from "../../src/ram/file_record_encoder.ts";
import { PageIndex } from "../../src/ram/page_index.ts";
import { withFolder } from "../image/fixtures.ts";
import { decodeAll } from "./fixtures/decode_all.ts";
import { pageFile, rawPageFile, STREAM_OFFSET } from "./fixtures/page_file.ts";
import { assertSameRam, patternedRam, SPECS } from "./fixtures/patterned_ram.ts";

const OUT = 4096;

function buffer(): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: 20, maximum: 20, shared: true });
}

for (const perRun of [1, 7, 200]) {
  Deno.test(`FileRecordEncoder sends every page from the file, in runs of ${perRun}`, () =>
    withFolder(async (folder) => {
      const ram = patternedRam(false);
      const { pages, bare } = await pageFile(ram, `${folder}/file`);
      const io = buffer();
      using encoder = new FileRecordEncoder(bare, io, pages);
      const received = GuestRam.create(SPECS);
      let at = OUT;
      for (const block of bare.blocks.toReversed()) {
        for (let page = 0; page < block.pageCount; page += perRun) {
          const count = Math.min(perRun, block.pageCount - page);
          const end = encoder.encodeRun(block, page, count, at);
          assert(end - at <= 264 + count * encoder.pageBytesMax);
          assertEquals(encoder.claimed.count, 1);
          at = end;
        }
      }
      decodeAll(received, new Uint8Array(io.buffer, OUT, at - OUT), 65_536);
      assertSameRam(received, ram);
      assertEquals(received.blocks.every((each) => each.received.count() === each.pageCount), true);
      assertEquals(encoder.normalPages + encoder.zeroPages, 237);
      // What is claimed is not sent again.
      assertEquals(encoder.encodeRun(bare.blocks[1]!, 0, 200, at), at);
    }));
}

for (const perRun of [1, 7, 200]) {
  Deno.test(`FileRecordEncoder makes records of pages that stand alone, in runs of ${perRun}`, () =>
    withFolder(async (folder) => {
      const ram = patternedRam(false);
      const { pages, bare } = await rawPageFile(ram, `${folder}/file`);
      const io = buffer();
      using encoder = new FileRecordEncoder(bare, io, pages);
      const received = GuestRam.create(SPECS);
      let at = OUT;
      for (const block of bare.blocks) {
        for (let page = 0; page < block.pageCount; page += perRun) {
          const count = Math.min(perRun, block.pageCount - page);
          const end = encoder.encodeRun(block, page, count, at);
          assert(end - at <= 264 + count * encoder.pageBytesMax);
          at = end;
        }
      }
      decodeAll(received, new Uint8Array(io.buffer, OUT, at - OUT), 65_536);
      assertSameRam(received, ram);
      assertEquals(received.blocks.every((each) => each.received.count() === each.pageCount), true);
      assertEquals([encoder.normalPages, encoder.zeroPages], [157, 80]);
    }));
}

Deno.test("FileRecordEncoder sends no page that the file ends in", () =>
  withFolder(async (folder) => {
    const path = `${folder}/file`;
    const { pages, bare } = await rawPageFile(patternedRam(false), path);
    await Deno.truncate(path, STREAM_OFFSET + 4096 * 4 + 10);
    using encoder = new FileRecordEncoder(bare, buffer(), pages);
    encoder.encodeRun(bare.blocks[0]!, 1, 3, OUT);
    assertThrows(
      () => encoder.encodeRun(bare.blocks[0]!, 4, 1, OUT),
      ConnectionLostError,
      "inside a page",
    );
  }));

Deno.test("FileRecordEncoder names the block again when it is told to", () =>
  withFolder(async (folder) => {
    const { pages, bare } = await pageFile(patternedRam(false), `${folder}/file`);
    const io = buffer();
    using encoder = new FileRecordEncoder(bare, io, pages);
    const block = bare.blocks[0]!;
    const sizes = [1, 2, 4].map((page) => {
      if (page === 4) encoder.forgetBlock();
      return encoder.encodeRun(block, page, 1, OUT) - OUT;
    });
    assertEquals(sizes, [8 + 4 + 4096, 8 + 4096, 8 + 4 + 4096]);
  }));

Deno.test("FileRecordEncoder never sends a page that is not where the index says", () =>
  withFolder(async (folder) => {
    const path = `${folder}/file`;
    const { pages, bare, bytes } = await pageFile(patternedRam(false), path);
    const index = new PageIndex(pages.index);
    const tried = (page: number) => {
      using encoder = new FileRecordEncoder(bare, buffer(), pages);
      bare.blocks[1]!.dirty.add(page);
      encoder.encodeRun(bare.blocks[1]!, page, 1, OUT);
    };
    for (let page = 0; page < 20; page++) {
      if (index.isZero(1, page)) continue;
      const spoiled = bytes.slice();
      // The next page's header: a bit of its number.
      spoiled[STREAM_OFFSET + index.offset(1, page) + 6]! ^= 0x10;
      await rewrite(path, spoiled);
      assertThrows(() => tried(page), StreamFormatError, `does not have page ${page} of RAM block`);
      // The name of the block, where the record has one.
      const named = bytes.slice();
      named[STREAM_OFFSET + index.offset(1, page) + 10]! ^= 1;
      await rewrite(path, named);
      const hasName = (bytes[STREAM_OFFSET + index.offset(1, page) + 7]! & 0x20) === 0;
      if (hasName) assertThrows(() => tried(page), StreamFormatError);
      await rewrite(path, bytes.subarray(0, STREAM_OFFSET + index.offset(1, page) + 100));
      assertThrows(() => tried(page), ConnectionLostError, "inside a page");
    }
    await rewrite(path, bytes);
    tried(1);
    await Deno.writeFile(`${path}.other`, bytes);
    await Deno.rename(`${path}.other`, path);
    assertThrows(() => tried(1), TransportError, "another file has taken its place");
  }));

async function rewrite(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.truncate(0);
  await file.write(bytes);
}

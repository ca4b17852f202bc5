/**
 * Mapped-ram files that lie: whatever stands in them, they are read or refused, nothing outside of RAM is
 * written, and nothing is made as long as a length says.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MigrationError } from "../../src/errors.ts";
import { walkImage } from "../../src/image/index_image.ts";
import { loadMappedImage } from "../../src/image/mapped_image.ts";
import { saveImage } from "../../src/image/save_image.ts";
import { PageIndex } from "../../src/ram/page_index.ts";
import type { FileSpec } from "../../src/transport/channel.ts";
import { FileChannel, fileSpec } from "../../src/transport/file_channel.ts";
import { smallImage, withFolder } from "../image/fixtures.ts";

/** A file to be spoiled, and put right again. */
async function withSmallFile(run: (file: FileSpec, bytes: Uint8Array) => Promise<void>) {
  await withFolder(async (folder) => {
    await saveImage(smallImage(), `${folder}/image`, "mapped-ram");
    const file = fileSpec(`${folder}/image`, 0, "read");
    await run(file, await Deno.readFile(file.path));
  });
}

/** Writes some bytes into the file. */
async function patch(file: FileSpec, bytes: Uint8Array, at: number): Promise<void> {
  const channel = new FileChannel({ ...file, mode: "write" });
  await channel.writeAt(bytes, at);
  channel.close();
}

/** Where in the file something other than pages and holes stands. */
function streamOffsets(bytes: Uint8Array): number[] {
  const offsets: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    const isPage = at % 2 ** 20 < 64 * 4096 && at >= 2 ** 20 && bytes[at] === bytes[at ^ 1];
    if (bytes[at] !== 0 && !isPage) offsets.push(at);
  }
  return offsets;
}

Deno.test("Every byte of the stream in a mapped-ram file may be wrong", () =>
  withSmallFile(async (file, bytes) => {
    let refused = 0;
    const offsets = streamOffsets(bytes);
    assert(offsets.length > 150, `${offsets.length}`);
    for (const at of offsets) {
      for (const flip of [0x01, 0x80]) {
        await patch(file, Uint8Array.of(bytes[at]! ^ flip), at);
        try {
          const { index, blocks } = await walkImage(file);
          const pages = new PageIndex(index);
          const { size } = await Deno.stat(file.path);
          for (const [block, { length }] of blocks.entries()) {
            for (let page = 0; page < length / 4096; page++) {
              assert(pages.isZero(block, page) || pages.offset(block, page) + 4096 <= size);
            }
          }
        } catch (error) {
          assert(error instanceof MigrationError, `${at}: ${error}`);
          refused++;
        }
      }
      await patch(file, bytes.subarray(at, at + 1), at);
    }
    assert(refused > 100, `${refused} of ${2 * offsets.length}`);
    await walkImage(file);
  }));

Deno.test("Bits of pages that a block does not have are nobody's", () =>
  withSmallFile(async (file, bytes) => {
    const whole = await loadMappedImage(file);
    // A block of one page, which is none of the file's.
    const header = bytes.toHex().indexOf("06" + "736861726564") / 2 + 7 + 8;
    const bitmap = Number(new DataView(bytes.buffer).getBigUint64(header + 12));
    await patch(file, new Uint8Array(8).fill(0xff), bitmap);
    const image = await loadMappedImage(file);
    assertEquals(image.ram.block("shared")!.received.count(), 1);
    for (const name of ["pc.ram", "rom", "shared"]) {
      const block = image.ram.block(name)!;
      assertEquals(
        new Uint8Array(block.view(0, block.length)),
        new Uint8Array(whole.ram.block(name)!.view(0, block.length)),
      );
    }
  }));

Deno.test("A block that is said to be huge makes nothing huge, even where the file is as long", () =>
  withSmallFile(async (file, bytes) => {
    // The list begins with how long all blocks are together; the first is "pc.ram", its length, its header.
    const list = bytes.toHex().indexOf("06" + "70632e72616d") / 2 - 8;
    const set = async (at: number, value: number) => {
      const number = new Uint8Array(8);
      new DataView(number.buffer).setBigUint64(0, BigInt(value));
      await patch(file, number, at);
    };
    const length = 2 ** 38;
    await set(list, length + 3 * 4096 + 4);
    await set(list + 8 + 7, length);
    const before = Deno.memoryUsage().rss;
    await assertRejects(() => walkImage(file), MigrationError, "before the end of its bitmap");
    await set(list + 8 + 7 + 8 + 20, 2 ** 30);
    await assertRejects(() => walkImage(file), MigrationError, "The file ends at");
    // A file with holes is as long as it likes.
    await Deno.truncate(file.path, 2 ** 39);
    await assertRejects(() => walkImage(file), MigrationError, "RAM block without a name");
    assert(Deno.memoryUsage().rss - before < 100 * 2 ** 20);
  }));

import { assertEquals, assertRejects } from "@std/assert";
import { StreamFormatError } from "../../src/errors.ts";
import { readIndexed, walkImage } from "../../src/image/index_image.ts";
import { writeIndexTrailer } from "../../src/image/index_trailer.ts";
import { saveImage } from "../../src/image/save_image.ts";
import { PageIndex } from "../../src/ram/page_index.ts";
import { FileChannel, fileSpec } from "../../src/transport/file_channel.ts";
import { goldenFile, PAYLOAD, smallImage, withFolder } from "./fixtures.ts";

Deno.test("An image says the same of itself by its index as by a walk over it", () =>
  withFolder(async (folder) => {
    await saveImage(smallImage(), `${folder}/image`);
    const file = fileSpec(`${folder}/image`, 0, "read");
    const indexed = await readIndexed(file);
    const walked = await walkImage(file);
    assertEquals(new Uint8Array(indexed!.index.table), new Uint8Array(walked.index.table));
    const { index: _, ...said } = indexed!;
    const { index: __, ...seen } = walked;
    assertEquals(said, seen);
    assertEquals(said.sections.map(({ payload }) => payload), [PAYLOAD]);
    assertEquals(said.blocks.map(({ name }) => name), ["pc.ram", "rom", "shared"]);
    assertEquals(said.description, new TextEncoder().encode("{}"));
  }));

Deno.test("A QEMU's image has no index, and each page where its last record is", () =>
  withFolder(async (folder) => {
    const file = fileSpec(await goldenFile("pc-10.0", folder), 0, "read");
    assertEquals(await readIndexed(file), undefined);
    const walked = await walkImage(file);
    assertEquals(new PageIndex(walked.index).hasAllPages, true);
    assertEquals(walked.hasSwitchoverStart, true);
  }));

Deno.test("An index of another image is refused", () =>
  withFolder(async (folder) => {
    const golden = await goldenFile("pc-10.0", folder);
    const { size } = await Deno.stat(golden);
    const channel = new FileChannel({ ...fileSpec(golden, 0, "read"), mode: "write" });
    await writeIndexTrailer(channel, size, PageIndex.create([7]), 1000);
    channel.close();
    await assertRejects(
      () => readIndexed(fileSpec(golden, 0, "read")),
      StreamFormatError,
      "is of 7 pages",
    );
  }));

import { assertEquals, assertRejects } from "@std/assert";
import { IncompatibleError, StreamFormatError } from "../../src/errors.ts";
import { type ImageBlocks, ImageLoader, noRam, notAllRam } from "../../src/image/image_loader.ts";
import { writeBlockList } from "../../src/ram/block_list.ts";
import { RAM_SECTION, RamFlag } from "../../src/ram/flags.ts";
import { loadStream } from "../../src/savevm/load.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { Command, writeCommand } from "../../src/wire/command.ts";
import { writeConfiguration } from "../../src/wire/configuration.ts";
import {
  ElementType,
  writeFullSectionHeader,
  writeSectionFooter,
  writeShortSectionHeader,
} from "../../src/wire/section.ts";
import { writeStreamHeader } from "../../src/wire/stream_header.ts";

const BLOCKS = [{ name: "ram", length: 8192 }];

function begin(version: number = RAM_SECTION.versionId): ByteWriter {
  const writer = new ByteWriter();
  writeStreamHeader(writer);
  writeConfiguration(writer, { machine: "m" });
  const type = ElementType.SECTION_START;
  writeFullSectionHeader(writer, { type, sectionId: 3, ...RAM_SECTION, versionId: version });
  writeBlockList(writer, BLOCKS);
  writeSectionFooter(writer.be64(RamFlag.EOS), 3);
  return writer;
}

function device(writer: ByteWriter, type: 1 | 4 = ElementType.SECTION_FULL): ByteWriter {
  writeFullSectionHeader(writer, { type, sectionId: 9, idstr: "dev", instanceId: 0, versionId: 1 });
  writeSectionFooter(writer.u8(0xaa), 9);
  return writer;
}

async function load(writer: ByteWriter) {
  const lists: ImageBlocks[] = [];
  const loader = new ImageLoader({
    prepare: (list) => void lists.push(list),
    loadPages: () => Promise.reject(new Error("There are no pages")),
  });
  await loadStream(ByteReader.of(writer.u8(ElementType.EOF).take()), loader);
  return { loader, lists };
}

Deno.test("ImageLoader collects what an image is made of", async () => {
  const writer = begin();
  writeCommand(writer, Command.OPEN_RETURN_PATH);
  writeCommand(writer, Command.SWITCHOVER_START);
  writeShortSectionHeader(writer, ElementType.SECTION_END, 3);
  writeSectionFooter(writer.be64(RamFlag.EOS), 3);
  const { loader, lists } = await load(device(writer));
  assertEquals(lists, [{ configuration: { machine: "m" }, blocks: BLOCKS, ramSectionId: 3 }]);
  assertEquals([loader.isRamComplete, loader.hasSwitchoverStart], [true, true]);
  assertEquals(loader.sections.map(({ payload }) => [...payload]), [[0xaa]]);
});

Deno.test("ImageLoader refuses what an image cannot hold", async () => {
  await assertRejects(() => load(device(begin(), 1)), IncompatibleError, "sent in parts");
  await assertRejects(() => load(begin(5)), StreamFormatError, "version 5");
  await assertRejects(() => load(begin().bytes(begin().take().subarray(14))), StreamFormatError);
  const postcopy = begin();
  writeCommand(postcopy, Command.POSTCOPY_LISTEN);
  await assertRejects(() => load(postcopy), StreamFormatError, "POSTCOPY_LISTEN in a file");
  const multifd = begin();
  writeShortSectionHeader(multifd, ElementType.SECTION_PART, 3);
  multifd.be64(RamFlag.MULTIFD_FLUSH).be64(RamFlag.EOS);
  await assertRejects(() => load(multifd), IncompatibleError, "multifd channels");
  // A stream that ends without END has not said that it is complete.
  assertEquals((await load(begin())).loader.isRamComplete, false);
  assertEquals([noRam(), notAllRam()].every((error) => error instanceof StreamFormatError), true);
});

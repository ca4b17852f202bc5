import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ConnectionLostError,
  IncompatibleError,
  StateError,
  StreamFormatError,
  TransportError,
} from "../../src/errors.ts";
import {
  beginsMappedRam,
  loadMappedImage,
  writeMappedImage,
} from "../../src/image/mapped_image.ts";
import { loadImage } from "../../src/image/load_image.ts";
import { MachineImage } from "../../src/image/machine_image.ts";
import { openImage } from "../../src/image/open_image.ts";
import { saveImage } from "../../src/image/save_image.ts";
import { fileSpec } from "../../src/transport/file_channel.ts";
import { RAM_SECTION } from "../../src/ram/flags.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { writeConfiguration } from "../../src/wire/configuration.ts";
import { ElementType, writeFullSectionHeader } from "../../src/wire/section.ts";
import { writeStreamHeader } from "../../src/wire/stream_header.ts";
import { contentOf, goldenFile, smallImage, withFolder } from "./fixtures.ts";

/** All of an image's pages count as received: what is not in a mapped-ram file is zeros. */
function complete(image: MachineImage): MachineImage {
  for (const block of image.ram.blocks) block.received.fill(0, block.pageCount, true);
  return image;
}

Deno.test("An image is the same after it was a mapped-ram file, and does not say that it was one", () =>
  withFolder(async (folder) => {
    for (const golden of ["pc-10.0", "pc-7.2"]) {
      const image = await loadImage(await goldenFile(golden, folder));
      const file = fileSpec(`${folder}/image`, 4096, "write");
      await writeMappedImage(image, file);
      const again = await loadMappedImage(fileSpec(`${folder}/image`, 4096, "read"));
      assertEquals(again.configuration, image.configuration);
      assertEquals(again.blocks, image.blocks);
      assertEquals(again.sections, image.sections);
      assertEquals(again.description, image.description);
      assertEquals(again.hasSwitchoverStart, image.hasSwitchoverStart);
      assertEquals(contentOf(again), contentOf(complete(image)));
    }
  }));

Deno.test("A mapped-ram file of QEMU's has the same in memory, from where it lies, and written again", () =>
  withFolder(async (folder) => {
    const golden = await goldenFile("mapped-ram-10.0", folder);
    assertEquals(await beginsMappedRam(fileSpec(golden, 0, "read")), true);
    const image = await loadImage(golden);
    assert(image.hasAllPages && image.ram.blocks.some((block) => block.untouched.count() > 0));
    assertEquals(image.configuration.capabilities, undefined);
    const opened = await openImage(golden);
    assertEquals([opened.configuration, opened.blocks], [image.configuration, image.blocks]);
    assertEquals(opened.sections, image.sections);
    assertEquals([opened.pages?.as, opened.hasAllPages], ["pages", true]);
    await saveImage(image, `${folder}/again`, "mapped-ram");
    assertEquals(contentOf(await loadImage(`${folder}/again`)), contentOf(image));
    await saveImage(opened, `${folder}/stream`);
    assertEquals(await beginsMappedRam(fileSpec(`${folder}/stream`, 0, "read")), false);
    assertEquals(contentOf(await loadImage(`${folder}/stream`)), contentOf(image));
  }));

Deno.test("saveImage() writes a mapped-ram file whole or not at all", () =>
  withFolder(async (folder) => {
    const image = smallImage();
    await assertRejects(
      () => saveImage(image, `${folder}/none/image`, "mapped-ram"),
      TransportError,
    );
    await saveImage(image, `${folder}/image`, "mapped-ram");
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["image"]);
    assertEquals((await Deno.stat(`${folder}/image`)).mode! & 0o777, 0o600);
    const opened = await openImage(`${folder}/image`);
    await assertRejects(
      () => saveImage(opened, `${folder}/other`, "mapped-ram"),
      StateError,
      "load it first",
    );
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["image"]);
  }));

/** Where the END of the section of RAM is, which is the small image's second. */
function endOfRam(bytes: Uint8Array): number {
  const at = bytes.subarray(-400).toHex().indexOf("0300000002" + "0000000000000010" + "7e00000002");
  assert(at > 0);
  return bytes.length - 400 + at / 2;
}

/** Both ways to read a file, one after the other. */
async function assertNoneReads(path: string, type: new (...args: never[]) => Error, why: string) {
  for (const read of [loadImage, openImage]) {
    await assertRejects(() => read(path), type as new (...args: unknown[]) => Error, why);
  }
}

Deno.test("A mapped-ram file that is cut off anywhere, or was not finished, is refused", () =>
  withFolder(async (folder) => {
    const path = `${folder}/image`;
    await saveImage(smallImage(), path, "mapped-ram");
    const bytes = await Deno.readFile(path);
    for (const cut of [20, 100, 200, 5000, 2 ** 20 + 5000, bytes.length - 200, bytes.length - 10]) {
      await Deno.writeFile(path, bytes.subarray(0, cut));
      await assertNoneReads(path, ConnectionLostError, "end");
    }
    // The END of RAM became a PART: as if the source had not come that far.
    bytes[endOfRam(bytes)] = 2;
    await Deno.writeFile(path, bytes);
    await assertNoneReads(path, StreamFormatError, "ended before all of its RAM had come");
  }));

Deno.test("A page in the stream of a mapped-ram file is refused", () =>
  withFolder(async (folder) => {
    const path = `${folder}/image`;
    await saveImage(smallImage(), path, "mapped-ram");
    const bytes = await Deno.readFile(path);
    new DataView(bytes.buffer).setBigUint64(endOfRam(bytes) + 5, 0x08n);
    await Deno.writeFile(path, bytes);
    await assertNoneReads(path, StreamFormatError, "A page in the stream of a mapped-ram file");
  }));

Deno.test("What leaves RAM out is no mapped-ram file: what is not in it would be zeros", () =>
  withFolder(async (folder) => {
    const path = `${folder}/image`;
    const shared = MachineImage.create(
      { machine: "shared", capabilities: ["x-ignore-shared"] },
      [{ name: "ram", length: 4096, guestAddress: 0n }],
      2,
    );
    await assertRejects(
      () => saveImage(shared, path, "mapped-ram"),
      IncompatibleError,
      "leave RAM out",
    );
    assertEquals([...Deno.readDirSync(folder)], []);
    // As QEMU writes them when it is told to do both.
    const writer = new ByteWriter();
    writeStreamHeader(writer);
    writeConfiguration(writer, {
      machine: "small",
      capabilities: ["x-ignore-shared", "mapped-ram"],
    });
    const type = ElementType.SECTION_START;
    writeFullSectionHeader(writer, { type, sectionId: 2, ...RAM_SECTION });
    await Deno.writeFile(path, writer.take());
    await assertNoneReads(path, IncompatibleError, "leave RAM out");
  }));

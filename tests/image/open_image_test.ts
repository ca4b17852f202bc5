import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  ConnectionLostError,
  IncompatibleError,
  StreamFormatError,
  TransportError,
} from "../../src/errors.ts";
import { loadImage } from "../../src/image/load_image.ts";
import { openImage } from "../../src/image/open_image.ts";
import { saveImage } from "../../src/image/save_image.ts";
import { readGolden } from "../support/golden.ts";
import { contentOf, goldenFile, smallImage, withFolder } from "./fixtures.ts";

for (const golden of ["pc-10.0", "pc-7.2"]) {
  Deno.test(`openImage() of ${golden} has what loadImage() has, also once Ferry has saved it`, () =>
    withFolder(async (folder) => {
      const path = await goldenFile(golden, folder);
      const loaded = await loadImage(path);
      const opened = await openImage(path);
      assertEquals(opened.configuration, loaded.configuration);
      assertEquals(opened.blocks, loaded.blocks);
      assertEquals(opened.sections, loaded.sections);
      assertEquals(opened.description, loaded.description);
      assertEquals(opened.ramSectionId, loaded.ramSectionId);
      assertEquals(opened.hasSwitchoverStart, loaded.hasSwitchoverStart);
      assertEquals(opened.ram.memories, []);

      // Its pages go straight from file to file, each into a record with another header.
      await saveImage(opened, `${folder}/saved`);
      assertEquals(contentOf(await loadImage(`${folder}/saved`)), contentOf(loaded));
      const indexed = await openImage(`${folder}/saved`);
      assertEquals(indexed.sections, loaded.sections);
      await saveImage(indexed, `${folder}/again`);
      assertEquals(contentOf(await loadImage(`${folder}/again`)), contentOf(loaded));
    }));
}

Deno.test("openImage() finds an image behind an offset, with and without its index", () =>
  withFolder(async (folder) => {
    const image = smallImage();
    await saveImage(image, `${folder}/image`);
    const bytes = await Deno.readFile(`${folder}/image`);
    const shifted = new Uint8Array(5000 + bytes.length);
    shifted.set(bytes, 5000);
    await Deno.writeFile(`${folder}/shifted`, shifted);
    // One that is cut by a byte has no index, but still its stream.
    await Deno.writeFile(`${folder}/cut`, shifted.subarray(0, -1));
    for (const name of ["shifted", "cut"]) {
      const opened = await openImage(`${folder}/${name}`, { offset: 5000 });
      await saveImage(opened, `${folder}/again`);
      assertEquals(contentOf(await loadImage(`${folder}/again`)), contentOf(image));
      assertEquals(opened.sections, image.sections);
    }
  }));

Deno.test("The last version of a page is the one that counts", () =>
  withFolder(async (folder) => {
    const image = smallImage();
    await saveImage(image, `${folder}/image`);
    const opened = await openImage(`${folder}/image`);
    assertEquals(opened.ram.block("shared")!.received.count(), 0);
    // The stream's records of pc.ram, and after them those of other content, in one more section.
    const { bytes, at } = await streamOf(`${folder}/image`);
    const other = smallImage();
    other.ram.blocks[0]!.view(0, 4096).fill(200);
    other.ram.blocks[0]!.view(4096, 4096).fill(201);
    await saveImage(other, `${folder}/other`);
    const second = await streamOf(`${folder}/other`);
    assertEquals(second.at.end, at.end);
    // Both ENDs, one behind the other: the first without the devices, the second with them.
    const first = bytes.subarray(0, at.devices);
    const rest = second.bytes.subarray(at.end);
    const both = new Uint8Array(first.length + rest.length);
    both.set(first);
    both.set(rest, first.length);
    await Deno.writeFile(`${folder}/both`, both);
    await saveImage(await openImage(`${folder}/both`), `${folder}/again`);
    assertEquals(contentOf(await loadImage(`${folder}/again`)), contentOf(other));
  }));

Deno.test("A page that is not where it was is not sent", () =>
  withFolder(async (folder) => {
    const image = smallImage();
    const path = `${folder}/image`;
    await saveImage(image, path);
    const whole = await Deno.readFile(path);
    const opened = await openImage(path);
    const { at } = await streamOf(path);
    // The header of the page that follows the first: another page's.
    const spoiled = whole.slice();
    for (let i = at.end; i < at.devices; i++) spoiled[i]! ^= 0x10;
    await overwrite(path, spoiled);
    await assertRejects(
      () => saveImage(opened, `${folder}/again`),
      StreamFormatError,
      "does not have page",
    );
    await overwrite(path, whole.subarray(0, at.end + 3000));
    await assertRejects(() => saveImage(opened, `${folder}/again`), ConnectionLostError, "ends at");
    await Deno.writeFile(`${folder}/new`, whole);
    await Deno.rename(`${folder}/new`, path);
    await assertRejects(
      () => saveImage(opened, `${folder}/again`),
      TransportError,
      "another file has taken its place",
    );
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["image"]);
  }));

Deno.test("openImage() refuses what is no image, each time with its reason", () =>
  withFolder(async (folder) => {
    const path = `${folder}/file`;
    await assertRejects(() => openImage(path), TransportError);
    await Deno.writeTextFile(path, "no stream at all");
    await assertRejects(() => openImage(path), StreamFormatError, "Not a migration stream");
    const stream = await readGolden("pc-10.0");
    await Deno.writeFile(path, stream.subarray(0, stream.length / 2));
    await assertRejects(() => openImage(path), ConnectionLostError);
    await Deno.writeFile(path, await readGolden("multifd-10.0"));
    await assertRejects(() => openImage(path), IncompatibleError, "multifd channels");
  }));

/** An image that Ferry saved: its stream, and where in it what begins. */
async function streamOf(path: string) {
  const file = await Deno.readFile(path);
  const footer = new DataView(file.buffer, file.length - 48);
  const bytes = file.subarray(0, Number(footer.getBigUint64(16)));
  const devices = Number(footer.getBigUint64(32)) + 13;
  // END with the id 2 of the section `ram`.
  const end = bytes.findIndex((byte, i) =>
    byte === 3 && bytes.subarray(i + 1, i + 5).every((each, j) => each === (j === 3 ? 2 : 0))
  );
  assert(end > 0 && end < devices);
  return { bytes, at: { end, devices } };
}

async function overwrite(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.truncate(0);
  await file.write(bytes);
}

import { assertEquals, assertRejects } from "@std/assert";
import { TransportError } from "../../src/errors.ts";
import { loadImage } from "../../src/image/load_image.ts";
import { saveImage } from "../../src/image/save_image.ts";
import { contentOf, goldenFile, smallImage, withFolder } from "./fixtures.ts";

Deno.test("saveImage() writes what loadImage() reads: RAM, sections, description", () =>
  withFolder(async (folder) => {
    for (const golden of ["pc-10.0", "pc-7.2"]) {
      const image = await loadImage(await goldenFile(golden, folder));
      await saveImage(image, `${folder}/image`);
      const again = await loadImage(`${folder}/image`);
      assertEquals(again.configuration, image.configuration);
      assertEquals(again.blocks, image.blocks);
      assertEquals(again.sections, image.sections);
      assertEquals(again.description, image.description);
      assertEquals(again.hasSwitchoverStart, golden === "pc-10.0");
      assertEquals(contentOf(again), contentOf(image));
    }
  }));

Deno.test("saveImage() leaves pages out that the stream left out, and replaces a file", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/image`, "what was there before");
    const image = smallImage();
    await saveImage(image, `${folder}/image`);
    const again = await loadImage(`${folder}/image`);
    assertEquals(contentOf(again), contentOf(image));
    assertEquals(again.ram.block("shared")!.received.count(), 0);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["image"]);
    assertEquals((await Deno.stat(`${folder}/image`)).mode! & 0o777, 0o600);
  }));

Deno.test("saveImage() leaves nothing behind when it fails", () =>
  withFolder(async (folder) => {
    await assertRejects(() => saveImage(smallImage(), `${folder}/none/image`), TransportError);
    await Deno.mkdir(`${folder}/taken`);
    await assertRejects(
      () => saveImage(smallImage(), `${folder}/taken`),
      TransportError,
      "Cannot put the image at",
    );
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["taken"]);
  }));

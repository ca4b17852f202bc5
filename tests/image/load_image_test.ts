import { assertEquals, assertRejects } from "@std/assert";
import {
  ConnectionLostError,
  IncompatibleError,
  StreamFormatError,
  TransportError,
} from "../../src/errors.ts";
import { loadImage } from "../../src/image/load_image.ts";
import { readGolden } from "../support/golden.ts";
import { goldenFile, withFolder } from "./fixtures.ts";

Deno.test("loadImage() loads what QEMUs wrote, from an offset too", () =>
  withFolder(async (folder) => {
    const stream = await readGolden("pc-10.0");
    const file = new Uint8Array(1000 + stream.length);
    file.set(stream, 1000);
    await Deno.writeFile(`${folder}/file`, file);
    const shifted = await loadImage(`${folder}/file`, { offset: 1000 });
    const image = await loadImage(await goldenFile("pc-10.0", folder));
    assertEquals(shifted.sections, image.sections);
    assertEquals(image.sections.some(({ header }) => header.idstr === "globalstate"), true);
    assertEquals(image.ram.blocks.every((block) => block.received.count() > 0), true);
  }));

Deno.test("loadImage() refuses what is no complete stream, each time with its reason", () =>
  withFolder(async (folder) => {
    const path = `${folder}/file`;
    await assertRejects(() => loadImage(path), TransportError);
    await Deno.writeTextFile(path, "no stream at all");
    await assertRejects(() => loadImage(path), StreamFormatError, "Not a migration stream");
    const stream = await readGolden("pc-10.0");
    await Deno.writeFile(path, stream.subarray(0, stream.length / 2));
    await assertRejects(() => loadImage(path), ConnectionLostError);
    await Deno.writeFile(path, await readGolden("postcopy-10.0"));
    await assertRejects(() => loadImage(path), StreamFormatError, "POSTCOPY_ADVISE in a file");
    await Deno.writeFile(path, await readGolden("multifd-10.0"));
    await assertRejects(() => loadImage(path), IncompatibleError, "multifd channels");
  }));

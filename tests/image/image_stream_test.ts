import { assertEquals } from "@std/assert";
import { loadImage } from "../../src/image/load_image.ts";
import { writeImageStream } from "../../src/image/image_stream.ts";
import { fileSpec } from "../../src/transport/file_channel.ts";
import { readGolden } from "../support/golden.ts";
import { goldenFile, withFolder } from "./fixtures.ts";

Deno.test("writeImageStream() writes a stream with the elements of QEMU's", () =>
  withFolder(async (folder) => {
    const golden = await readGolden("pc-10.0");
    const image = await loadImage(await goldenFile("pc-10.0", folder));
    await writeImageStream(image, fileSpec(`${folder}/stream`, 0, "write"));
    const file = await Deno.readFile(`${folder}/stream`);
    const footer = new DataView(file.buffer, file.length - 48);
    const written = file.subarray(0, Number(footer.getBigUint64(16)));
    // Header, configuration and the list of blocks are the same; so is all from the first device on.
    const list = golden.length - written.length;
    const begin = written.findIndex((byte, at) => byte !== golden[at]);
    const end = written.findLastIndex((byte, at) => byte !== golden[at + list]);
    assertEquals(begin > 100, true);
    const devices = image.sections.reduce((sum, { payload }) => sum + payload.length, 0);
    assertEquals(written.length - end > devices, true);
  }));

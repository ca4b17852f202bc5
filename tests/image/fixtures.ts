/**
 * Small images and streams of real QEMUs as files.
 *
 * @module
 */
import { MachineImage } from "../../src/image/machine_image.ts";
import { readGolden } from "../support/golden.ts";
import "../support/load_libc.ts";

/** Bytes as a device would have them. */
export const PAYLOAD = Uint8Array.from({ length: 100 }, (_, i) => i);

/** A machine with a block that is partly zeros, one that was never sent, and a device. */
export function smallImage(): MachineImage {
  const image = MachineImage.create(
    { machine: "small" },
    [{ name: "pc.ram", length: 64 * 4096 }, { name: "rom", length: 2 * 4096 }, {
      name: "shared",
      length: 4096,
    }],
    2,
  );
  for (const block of image.ram.blocks.slice(0, 2)) {
    block.received.fill(0, block.pageCount, true);
    for (let page = 0; page < block.pageCount; page++) {
      if (page % 3 !== 1) block.view(page * 4096, 4096).fill(page + 1 + 100 * block.index);
    }
  }
  image.sections.push({
    header: { type: 4, sectionId: 7, idstr: "device", instanceId: 0, versionId: 1 },
    payload: PAYLOAD,
  });
  return image;
}

/** Runs a test with a folder of its own. */
export async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "ferry-image-" });
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Puts a captured stream into a file. */
export async function goldenFile(name: string, folder: string): Promise<string> {
  const path = `${folder}/${name}`;
  await Deno.writeFile(path, await readGolden(name));
  return path;
}

/** All RAM of an image, block by block, and which pages it has. */
export function contentOf(image: MachineImage): Record<string, [Uint8Array, Int32Array]> {
  return Object.fromEntries(
    image.ram.blocks.map((
      block,
    ) => [block.name, [
      Uint8Array.from(block.view(0, block.length)),
      Int32Array.from(block.received.words),
    ]]),
  );
}

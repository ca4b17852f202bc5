import { assertEquals } from "@std/assert";
import { readIndexTrailer, writeIndexTrailer } from "../../src/image/index_trailer.ts";
import { PageIndex } from "../../src/ram/page_index.ts";
import { FileChannel, fileSpec } from "../../src/transport/file_channel.ts";
import { withFolder } from "./fixtures.ts";

const STREAM = new Uint8Array(333).fill(7);

async function write(path: string): Promise<PageIndex> {
  const index = PageIndex.create([5, 6]);
  for (let page = 0; page < 6; page++) index.set(1, page, 100 + page, page % 2 === 0);
  const channel = new FileChannel(fileSpec(path, 0, "write"));
  await channel.write(STREAM);
  await writeIndexTrailer(channel, STREAM.length, index, 300);
  channel.close();
  return index;
}

async function read(path: string, offset = 0) {
  const channel = new FileChannel(fileSpec(path, offset, "read"));
  try {
    return await readIndexTrailer(channel, offset);
  } finally {
    channel.close();
  }
}

Deno.test("What writeIndexTrailer() writes behind a stream, readIndexTrailer() reads", () =>
  withFolder(async (folder) => {
    const index = await write(`${folder}/file`);
    const trailer = await read(`${folder}/file`);
    assertEquals(trailer?.recordsEnd, 300);
    assertEquals(new Uint8Array(trailer!.table), new Uint8Array(index.layout.table));
    const bytes = await Deno.readFile(`${folder}/file`);
    assertEquals(bytes.subarray(0, 333), STREAM);
    // Where the stream begins later in the file, the trailer is as good.
    await Deno.writeFile(`${folder}/later`, new Uint8Array([...new Uint8Array(50), ...bytes]));
    assertEquals((await read(`${folder}/later`, 50))?.recordsEnd, 300);
    assertEquals(await read(`${folder}/later`), undefined);
  }));

Deno.test("A trailer that is damaged anywhere is as good as none", () =>
  withFolder(async (folder) => {
    const path = `${folder}/file`;
    await write(path);
    const bytes = await Deno.readFile(path);
    for (let at = STREAM.length; at < bytes.length; at++) {
      const damaged = bytes.slice();
      damaged[at]! ^= 0x40;
      await Deno.writeFile(path, damaged);
      assertEquals(await read(path), undefined, `byte ${at}`);
    }
    for (const length of [bytes.length - 1, 340, 333, 40, 0]) {
      await Deno.writeFile(path, bytes.subarray(0, length));
      assertEquals(await read(path), undefined, `${length} bytes`);
    }
  }));

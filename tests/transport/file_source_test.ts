import { assertEquals, assertThrows } from "@std/assert";
import { FileSource } from "../../src/transport/file_source.ts";
import { FileChannel, fileSpec } from "../../src/transport/file_channel.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { withFolder } from "../image/fixtures.ts";

const BYTES = Uint8Array.from({ length: 1000 }, (_, i) => i & 0xff);

/** A source of the bytes from 100 on. */
async function withSource(
  window: number,
  run: (source: FileSource) => void | Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    await Deno.writeFile(`${folder}/file`, BYTES);
    const channel = new FileChannel(fileSpec(`${folder}/file`, 100, "read"));
    try {
      await run(new FileSource(channel, 100, window));
    } finally {
      channel.close();
    }
  });
}

for (const window of [16, 64, 4096]) {
  Deno.test(`FileSource gives a reader every byte, with a window of ${window}`, () =>
    withSource(window, async (source) => {
      const reader = new ByteReader(source);
      assertEquals(await reader.be32("a number"), 0x64656667);
      const rest = await reader.bytes(896, 896, "the rest");
      assertEquals(rest, BYTES.subarray(104));
      assertEquals([await reader.atEnd(), reader.position], [true, 900]);
    }));
}

Deno.test("FileSource goes anywhere, forward and back", () =>
  withSource(64, (source) => {
    const at = (position: number) => {
      source.seek(position);
      assertEquals(source.position, position);
      const available = source.fill(8);
      const bytes = new Uint8Array(Math.min(available, 8));
      source.peek(bytes);
      return [...bytes];
    };
    const expected = (position: number) => [...BYTES.subarray(100 + position, 108 + position)];
    for (const position of [0, 40, 60, 58, 500, 3, 892, 896, 899, 0]) {
      assertEquals(at(position), expected(position));
    }
    assertEquals(at(5000), []);
    assertEquals(source.view.byteLength, 64);
  }));

Deno.test("FileSource refuses what is not there", () =>
  withSource(64, (source) => {
    assertThrows(() => source.fill(65), RangeError);
    source.fill(10);
    source.consume(60);
    assertThrows(() => source.consume(5), RangeError);
    assertThrows(() => source.peek(new Uint8Array(5)), RangeError);
  }));

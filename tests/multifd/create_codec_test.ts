import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { createCompressor, createDecompressor } from "../../src/multifd/create_codec.ts";
import { HandleCompressor, HandleDecompressor } from "../../src/multifd/handle_codec.ts";
import { StreamCompressor, StreamDecompressor } from "../../src/multifd/stream_codec.ts";

Deno.test("createCompressor() takes the handles unless it is told otherwise", () => {
  assertEquals(createCompressor({ method: "none", level: 0 }), undefined);
  const kinds = [
    createCompressor({ method: "zlib", level: 1 }),
    createCompressor({ method: "zstd", level: 1, codec: "handle" }),
    createCompressor({ method: "zstd", level: 1, codec: "stream" }),
  ];
  assertInstanceOf(kinds[0], HandleCompressor);
  assertInstanceOf(kinds[1], HandleCompressor);
  assertInstanceOf(kinds[2], StreamCompressor);
  for (const kind of kinds) kind!.close();
});

Deno.test("createCompressor() passes the level on", async () => {
  const input = Uint8Array.from({ length: 8192 }, (_, i) => (i * i) >>> 5);
  const sizes: number[] = [];
  for (const level of [0, 9]) {
    const compressor = createCompressor({ method: "zlib", level })!;
    const output = { bytes: new Uint8Array(20_000), at: 0, length: 20_000 };
    sizes.push(await compressor.compress({ bytes: input, at: 0, length: 8192 }, output));
    compressor.close();
  }
  assert(sizes[0]! > 8192, "level 0 stores");
  assert(sizes[1]! < 8192);
});

Deno.test("createDecompressor() takes the handles unless it is told otherwise", () => {
  const kinds = [
    createDecompressor("zlib", undefined),
    createDecompressor("zstd", "handle"),
    createDecompressor("zstd", "stream"),
  ];
  assertInstanceOf(kinds[0], HandleDecompressor);
  assertInstanceOf(kinds[1], HandleDecompressor);
  assertInstanceOf(kinds[2], StreamDecompressor);
  for (const kind of kinds) kind.close();
});

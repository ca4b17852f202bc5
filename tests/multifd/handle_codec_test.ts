import { assertThrows } from "@std/assert";
import { concat } from "@std/bytes";
import zlib from "node:zlib";
import { StreamFormatError } from "../../src/errors.ts";
import { HandleCompressor, HandleDecompressor } from "../../src/multifd/handle_codec.ts";
import { testCodec } from "./fixtures/codec_cases.ts";

testCodec("On handles", { Compressor: HandleCompressor, Decompressor: HandleDecompressor });

Deno.test("HandleDecompressor refuses a zstd frame whose window takes more memory than QEMU's", () => {
  const decompressor = new HandleDecompressor("zstd");
  // A frame's header with a window of 2^27 bytes, then a raw block of one byte.
  const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, (27 - 10) << 3, 0x08, 0, 0, 7);
  decompressor.begin({ bytes: frame, at: 0, length: frame.length });
  const target = { bytes: new Uint8Array(1), at: 0, length: 1 };
  assertThrows(() => decompressor.take(target), StreamFormatError, "not zstd");
  decompressor.close();
});

Deno.test("HandleDecompressor refuses what follows the end of a zlib stream", () => {
  const decompressor = new HandleDecompressor("zlib");
  const finished = new Uint8Array(zlib.deflateSync(new Uint8Array(4096)));
  const bytes = concat([finished, new Uint8Array(50).fill(9)]);
  decompressor.begin({ bytes, at: 0, length: bytes.length });
  assertThrows(() => {
    decompressor.take({ bytes: new Uint8Array(4096), at: 0, length: 4096 });
    decompressor.end();
  }, StreamFormatError);
  decompressor.close();
});

/**
 * Choosing between the codecs on handles and those on public streams.
 *
 * @module
 */
import type { CodecMethod, Compressor, Decompressor } from "./codec.ts";
import { HandleCompressor, HandleDecompressor } from "./handle_codec.ts";
import type { MultifdCompression } from "./method.ts";
import { StreamCompressor, StreamDecompressor } from "./stream_codec.ts";

/** Makes a compressor, or none for the method that does not compress. */
export function createCompressor(compression: MultifdCompression): Compressor | undefined {
  const { method, level, codec } = compression;
  if (method === "none") return undefined;
  return codec === "stream"
    ? new StreamCompressor(method, level)
    : new HandleCompressor(method, level);
}

/** Makes a decompressor. */
export function createDecompressor(
  method: CodecMethod,
  codec: MultifdCompression["codec"],
): Decompressor {
  return codec === "stream" ? new StreamDecompressor(method) : new HandleDecompressor(method);
}

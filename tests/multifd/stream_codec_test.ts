import { StreamCompressor, StreamDecompressor } from "../../src/multifd/stream_codec.ts";
import { testCodec } from "./fixtures/codec_cases.ts";

testCodec("On streams", { Compressor: StreamCompressor, Decompressor: StreamDecompressor });

/**
 * Multifd's packets without any connection: packing, placing, and each compression method on the handles
 * that are used and on their public twins. Each iteration is 64 MiB of pages.
 *
 * @module
 */
import { GuestRam } from "../src/machine/guest_ram.ts";
import type { CodecMethod } from "../src/multifd/codec.ts";
import { createCompressor, createDecompressor } from "../src/multifd/create_codec.ts";
import { PacketReader } from "../src/multifd/packet_reader.ts";
import { PacketWriter } from "../src/multifd/packet_writer.ts";
import type { Channel } from "../src/transport/channel.ts";
import { type Content, fillWith } from "./versus_qemu/content.ts";

const LENGTH = 64 * 1024 ** 2;
const PAGE = 4096;
const PACKET = 512 * 1024;

function ramOf(content: Content): GuestRam {
  const ram = GuestRam.create([{ name: "ram", length: LENGTH }]);
  const [block] = ram.blocks;
  fillWith(new Uint8Array(block!.segments[0]!.memory.buffer), content);
  // Content that was written, even if with zeros: "untouched" keeps its bits.
  if (content !== "untouched") block!.untouched.fill(0, block!.pageCount, false);
  return ram;
}

/** Packs every page, or every other page first and then the others; gives each piece to `take`. */
async function pack(ram: GuestRam, stride: number, take: (part: Uint8Array) => void) {
  let number = 0;
  const compression = { method: "none", level: 0 } as const;
  const writer = new PacketWriter(ram, { detectZero: true, compression }, () => number++);
  const [block] = ram.blocks;
  const flush = async () => {
    await writer.close();
    if (writer.full) writer.take().forEach(take);
  };
  for (let start = 0; start < stride; start++) {
    for (let page = start; page < block!.pageCount;) {
      const count = stride === 1 ? block!.pageCount - page : 1;
      const added = writer.add(block!, page, count);
      if (added === 0) await flush();
      page += added * stride;
    }
  }
  await writer.close();
  writer.take().forEach(take);
}

/** A connection on which bytes lie ready. */
class Ready implements Channel {
  readonly peer = "memory";
  #at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  read(into: Uint8Array): Promise<number> {
    const piece = this.bytes.subarray(this.#at, this.#at + into.length);
    into.set(piece);
    this.#at += piece.length;
    return Promise.resolve(piece.length);
  }

  write(): Promise<void> {
    return Promise.resolve();
  }

  writeGather(): Promise<void> {
    return Promise.resolve();
  }

  shutdown(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

const runs = { n: 10, warmup: 3 } as const;
const copy = new Uint8Array(LENGTH);
const LAYOUTS = [
  ["incompressible", 1, "pages in a row"],
  ["incompressible", 2, "every other page"],
  ["mixed", 1, "half of it zeros"],
  ["untouched", 1, "untouched"],
] as const;
for (const [content, stride, name] of LAYOUTS) {
  const ram = ramOf(content);
  const parts: Uint8Array[] = [];
  await pack(ram, stride, (part) => parts.push(Uint8Array.from(part)));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  for (let at = 0; parts.length > 0; at += parts.shift()!.length) bytes.set(parts[0]!, at);
  const bytesOfRam = ram.blocks[0]!.view(0, LENGTH);

  const encode = "packet encode, 64 MiB";
  const baseline = content === "incompressible" && stride === 1;
  if (baseline) {
    Deno.bench({ name: "a copy of RAM", group: encode, baseline, ...runs }, () => {
      copy.set(bytesOfRam);
    });
  }
  Deno.bench({ name, group: encode, ...runs }, async () => {
    await pack(ram, stride, () => {});
  });

  const decode = "packet decode, 64 MiB";
  if (baseline) {
    Deno.bench({ name: "a copy of RAM", group: decode, baseline, ...runs }, () => {
      copy.set(bytesOfRam);
    });
  }
  const received = GuestRam.create([{ name: "ram", length: LENGTH }]);
  Deno.bench({ name, group: decode, ...runs }, async () => {
    const reader = new PacketReader(new Ready(bytes), received, { method: "none" });
    while (await reader.read() !== undefined);
  });
}

for (const method of ["zlib", "zstd"] as const satisfies readonly CodecMethod[]) {
  for (const content of ["text", "incompressible"] as const) {
    const ram = ramOf(content).blocks[0]!.view(0, LENGTH);
    const payloads: Uint8Array[] = [];
    const output = { bytes: new Uint8Array(2 * PACKET), at: 0, length: 2 * PACKET };
    const compressAll = async (codec: "handle" | "stream", keep: boolean) => {
      const compressor = createCompressor({ method, level: 1, codec })!;
      for (let at = 0; at < LENGTH; at += PACKET) {
        const length = await compressor.compress({ bytes: ram, at, length: PACKET }, output);
        if (keep) payloads.push(output.bytes.slice(0, length));
      }
      compressor.close();
    };
    await compressAll("handle", true);
    for (const codec of ["handle", "stream"] as const) {
      const baseline = codec === "handle";
      const name = codec;
      const group = `${method} level 1, ${content}, 64 MiB`;
      Deno.bench({ name, group: `compress: ${group}`, baseline, ...runs }, async () => {
        await compressAll(codec, false);
      });
      Deno.bench({ name, group: `decompress: ${group}`, baseline, ...runs }, async () => {
        const decompressor = createDecompressor(method, codec);
        for (const [i, bytes] of payloads.entries()) {
          await decompressor.begin({ bytes, at: 0, length: bytes.length }, PACKET);
          for (let at = 0; at < PACKET; at += 16 * PAGE) {
            decompressor.take({ bytes: copy, at: i * PACKET + at, length: 16 * PAGE });
          }
          decompressor.end();
        }
        decompressor.close();
      });
    }
  }
}

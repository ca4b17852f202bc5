/**
 * Takes multifd packets out of a connection and puts their pages into guest RAM (wire-format §6.2 and
 * §6.3; QEMU `migration/multifd-nocomp.c`, `multifd_nocomp_recv`).
 *
 * Pages that lie side by side are read from the connection straight to their place. Where they are
 * scattered, or compressed, they are read into a buffer and go from there. How far the buffer is filled
 * follows the packets before: many headers at once while there are only zero pages, a header alone when
 * content is likely behind it.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import type { Channel } from "../transport/channel.ts";
import type { Decompressor } from "./codec.ts";
import { createDecompressor } from "./create_codec.ts";
import type { MultifdCompression } from "./method.ts";
import { Header, headerBytes, PAYLOAD_MAX } from "./packet.ts";
import { type PacketHeader, PacketHeaderReader } from "./packet_header.ts";
import { PagePlacer } from "./page_placer.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";

/** Pages in at most so many places are read straight to them. */
const IN_PLACE_RUNS = 16;
/** How much is read at once while only headers come. */
const HEADERS_AT_ONCE = 64 * 1024;
/** How much is read at once when payloads go through the buffer. */
const PAYLOADS_AT_ONCE = 512 * 1024;

/** How packets are read. */
export type PacketReaderOptions = Pick<MultifdCompression, "method" | "codec">;

/** The packets of one channel. */
export class PacketReader {
  readonly #buffer: ReceiveBuffer;
  readonly #headers: PacketHeaderReader;
  readonly #placer: PagePlacer;
  readonly #decompressor: Decompressor | undefined;
  readonly #headerBytes: number;
  /** How many bytes to ask for when a header is needed. */
  #ahead = HEADERS_AT_ONCE;
  /** Packets since the start. */
  packets = 0;
  /** Pages placed with content since the start. */
  normalPages = 0;
  /** Pages placed as zeros since the start. */
  zeroPages = 0;

  /**
   * @param channel The connection, after its introduction.
   * @param ram Where pages go.
   */
  constructor(channel: Channel, private readonly ram: GuestRam, options: PacketReaderOptions) {
    this.#headerBytes = headerBytes(ram.pageSize);
    this.#buffer = new ReceiveBuffer(channel, this.#headerBytes + PAYLOAD_MAX);
    this.#headers = new PacketHeaderReader(ram, options.method);
    this.#placer = new PagePlacer(ram, this.#buffer);
    if (options.method !== "none") {
      this.#decompressor = createDecompressor(options.method, options.codec);
    }
  }

  /** Bytes taken from the connection. */
  get bytes(): number {
    return this.#buffer.received;
  }

  /** Where in the channel's stream the next packet begins. */
  get position(): number {
    return this.#buffer.position;
  }

  /** Milliseconds spent waiting for the connection. */
  get waitMs(): number {
    return this.#buffer.waitMs;
  }

  /**
   * Reads one packet and places its pages.
   * @returns Whether it was a SYNC; `undefined` at the orderly end of the connection.
   * @throws {StreamFormatError | IncompatibleError} If the packet is wrong; nothing was written outside of
   * the pages it names.
   * @throws {ConnectionLostError} If the connection broke, or ended inside a packet.
   */
  async read(): Promise<boolean | undefined> {
    const buffer = this.#buffer;
    if (!await buffer.need(this.#headerBytes, this.#ahead)) return undefined;
    const header = this.#headers.read(buffer.bytes, buffer.view, buffer.start);
    const { block, normalPages, zeroPages } = header;
    if (!block) {
      buffer.skip(this.#headerBytes);
      this.packets++;
      return header.sync;
    }
    const at = buffer.start;
    const offsets = at + Header.OFFSETS;
    const runs = this.#placer.parse(block, offsets, normalPages, "normal");
    const zeroRuns = this.#placer.parse(block, offsets + 8 * normalPages, zeroPages, "zero");
    buffer.skip(this.#headerBytes);
    if (runs > 0) await this.#place(block, header, runs);
    else this.#ahead = HEADERS_AT_ONCE;
    this.#placer.placeZeros(block, zeroRuns);
    this.packets++;
    this.normalPages += normalPages;
    this.zeroPages += zeroPages;
    if (runs === 0 && !header.sync) this.#placeAlike(block, at);
    return header.sync;
  }

  /** Places the packets behind one of zero pages that are like it and have arrived already. */
  #placeAlike(block: RamBlock, checked: number): void {
    const { packets, pages } = this.#placer.placeAlike(block, checked, this.#headerBytes);
    this.packets += packets;
    this.zeroPages += pages;
    this.#buffer.skip(packets * this.#headerBytes);
  }

  /** Frees the decompressor. */
  free(): void {
    this.#decompressor?.close();
  }

  async #place(block: RamBlock, header: PacketHeader, runs: number): Promise<void> {
    const { payload, normalPages } = header;
    const decompressor = this.#decompressor;
    if (!decompressor && runs <= IN_PLACE_RUNS) {
      await this.#placer.readInPlace(block, runs);
      this.#ahead = this.#headerBytes;
      return;
    }
    this.#ahead = PAYLOADS_AT_ONCE;
    const buffer = this.#buffer;
    await buffer.need(payload, this.#ahead);
    if (decompressor) {
      const span = { bytes: buffer.bytes, at: buffer.start, length: payload };
      await decompressor.begin(span, normalPages * this.ram.pageSize);
      this.#placer.decompress(block, runs, decompressor);
      decompressor.end();
    } else {
      this.#placer.scatter(block, runs, buffer.start);
    }
    buffer.skip(payload);
  }
}

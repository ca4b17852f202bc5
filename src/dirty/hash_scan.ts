/**
 * The hash log's work in its thread, and the messages to and from it.
 *
 * @module
 */
import { GuestRam, type GuestRamLayout } from "../machine/guest_ram.ts";
import type { RamBlock, RamSegment } from "../machine/ram_block.ts";
import { DigestTable, type DigestTableLayout, type PageHash, pageHash } from "./digest_table.ts";

/** How much is compared between two looks at the stop word, in bytes. */
const CHUNK = 16 * 1024 ** 2;

/** The first message to the thread. */
export interface HashScanStart {
  readonly ram: GuestRamLayout;
  readonly digests: DigestTableLayout;
  /** One word in shared memory: not 0 to make a scan end early. */
  readonly stop: Int32Array;
}

/** A message to the thread: the start, then requests to scan. */
export type HashScanRequest = HashScanStart | "scan";

/** A message from the thread: that it is ready, then for each scan how many bits it set newly. */
export type HashScanReply = "ready" | number;

/** Compares all of RAM with the table of digests. */
export class HashScan {
  readonly #ram: GuestRam;
  readonly #table: DigestTable;
  readonly #stop: Int32Array;
  readonly #comparer = new Map<WebAssembly.Memory, PageHash>();

  constructor({ ram, digests, stop }: HashScanStart) {
    this.#ram = new GuestRam(ram);
    this.#table = new DigestTable(digests);
    this.#stop = stop;
    for (const pages of this.#ram.memories) {
      const others = { staging: pages, digests: digests.memory, tables: ram.tables };
      this.#comparer.set(pages, pageHash({ pages, ...others }));
    }
  }

  /** Marks every page dirty that is not known to hold what was sent. @returns How many were clear. */
  run(): number {
    let fresh = 0;
    for (const block of this.#ram.blocks) {
      for (const segment of block.segments) {
        for (let at = 0; at < segment.length; at += CHUNK) {
          if (Atomics.load(this.#stop, 0) !== 0) return fresh;
          fresh += this.#compare(block, segment, at, Math.min(CHUNK, segment.length - at));
        }
      }
    }
    return fresh;
  }

  #compare(block: RamBlock, segment: RamSegment, at: number, length: number): number {
    const { pageSize } = this.#ram;
    const page = (segment.offset + at) / pageSize;
    return this.#comparer.get(segment.memory)!.compare(
      segment.base + at,
      pageSize,
      this.#table.offset(block.index, page),
      block.dirty.byteOffset,
      block.untouched.byteOffset,
      page,
      length / pageSize,
    );
  }
}

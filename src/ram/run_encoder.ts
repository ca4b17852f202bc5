/**
 * What encodes runs of pages as records, wherever the pages are: in memory or in a file.
 *
 * @module
 */
import { FileRecordEncoder } from "./file_record_encoder.ts";
import type { PageFile } from "./page_index.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { type ClaimedRuns, RecordEncoder, type RecordEncoderOptions } from "./record_encoder.ts";

/** The records of one channel; remembers which block the last record named. */
export interface RunEncoder {
  /** Pages encoded with content since the start. */
  readonly normalPages: number;
  /** Pages encoded as zeros since the start. */
  readonly zeroPages: number;
  /** Pages encoded as differences since the start. */
  readonly encodedPages: number;
  /** How much room in the buffer a page takes at most, without `RECORD_HEADER_MAX` for the first. */
  readonly pageBytesMax: number;
  /**
   * Which pages the last call of {@linkcode RunEncoder.encodeRun} has claimed. Where pages are sent as
   * differences, which they never are in postcopy, it has none.
   */
  readonly claimed: ClaimedRuns;
  /** Makes the next record name its block, as it must after a break of the channel. */
  forgetBlock(): void;
  /**
   * Claims and encodes those of a run's pages that are still dirty.
   * @param block The block.
   * @param first The run's first page.
   * @param count How many pages.
   * @param out Where in the buffer the first record goes; there must be room for all of them.
   * @returns Where the next record goes.
   */
  encodeRun(block: RamBlock, first: number, count: number, out: number): number;
}

/** How pages are encoded, and where they are. */
export interface RunEncoderOptions extends RecordEncoderOptions {
  /** Where pages are read from, when they are in no memory. */
  readonly pages?: PageFile | undefined;
}

/**
 * Makes the encoder for where the pages are.
 * @param io The memory of the sending buffer. Its first 256 bytes are the encoder's own.
 */
export function createRunEncoder(
  ram: GuestRam,
  io: WebAssembly.Memory,
  options: RunEncoderOptions,
): RunEncoder & Partial<Disposable> {
  return options.pages
    ? new FileRecordEncoder(ram, io, options.pages)
    : new RecordEncoder(ram, io, options);
}

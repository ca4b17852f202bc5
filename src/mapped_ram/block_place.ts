/**
 * Where a block of RAM lies in a mapped-ram file (wire-format §7; QEMU `docs/devel/migration/mapped-ram.rst`,
 * `migration/ram.c`, `mapped_ram_setup_ramblock` and `parse_ramblock_mapped_ram`).
 *
 * ```text
 * … name, length, header │ bitmap: a bit for each page │ … │ pages, from a multiple of 1 MiB on │ name …
 * header   be32 1  be64 page size  be64 where the bitmap begins  be64 where the pages begin
 * ```
 *
 * Places count from the file's first byte, not from the stream's.
 *
 * @module
 */
import { ConnectionLostError, StreamFormatError } from "../errors.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import type { ByteWriter } from "../wire/byte_writer.ts";

const VERSION = 1;
const HEADER_SIZE = 28;
/** So that pages can be written around the page cache whatever the device. */
const PAGES_ALIGNMENT = 1024 ** 2;

/** One block's place, in bytes from the file's start. */
export interface BlockPlace {
  readonly bitmapOffset: number;
  /** Where its page 0 is, and every other at its offset from there. */
  readonly pagesOffset: number;
  /** Where the stream goes on. */
  readonly end: number;
}

/** How long a bitmap is in the file, in bytes: whole words of 64 bits. */
export function bitmapBytes(pageCount: number): number {
  return Math.ceil(pageCount / 64) * 8;
}

/**
 * Writes a block's header.
 * @param position Where in the file the header goes.
 * @returns The place that it names.
 */
export function writeBlockPlace(
  writer: ByteWriter,
  position: number,
  { length }: RamBlockEntry,
  pageSize: number,
): BlockPlace {
  const bitmapOffset = position + HEADER_SIZE;
  const bitmapEnd = bitmapOffset + bitmapBytes(length / pageSize);
  const pagesOffset = Math.ceil(bitmapEnd / PAGES_ALIGNMENT) * PAGES_ALIGNMENT;
  writer.be32(VERSION).be64(pageSize).be64(bitmapOffset).be64(pagesOffset);
  return { bitmapOffset, pagesOffset, end: pagesOffset + length };
}

/** What a header is checked against. */
export interface FileLimits {
  /** The target page, in bytes. */
  readonly pageSize: number;
  /** Where in the file the stream begins, in bytes. */
  readonly offset: number;
  /** How long the file is, in bytes. */
  readonly size: number;
}

/**
 * Reads a block's header. What it names lies behind it, in order, so nothing overlaps anything.
 * @param reader Stands behind the block's entry.
 * @throws {StreamFormatError} If it names another version, page size or place.
 * @throws {ConnectionLostError} If the file ends before the block's pages do.
 */
export async function readBlockPlace(
  reader: ByteReader,
  { name, length }: RamBlockEntry,
  { pageSize, offset, size }: FileLimits,
): Promise<BlockPlace> {
  const { position } = reader;
  const refuse = (why: string): never => {
    throw new StreamFormatError(`RAM block "${name}" ${why}`, { place: { offset: position } });
  };
  const version = await reader.be32("a mapped-ram header");
  if (version !== VERSION) {
    refuse(`has a mapped-ram header of version ${version}: only ${VERSION} is known`);
  }
  const theirs = await reader.size64("a mapped-ram page size");
  if (theirs !== pageSize) refuse(`has pages of ${theirs} bytes in the file, not ${pageSize}`);
  const bitmapOffset = await reader.size64("a mapped-ram bitmap's offset");
  const pagesOffset = await reader.size64("the offset of mapped-ram pages");
  const headerEnd = offset + reader.position;
  if (bitmapOffset < headerEnd) {
    refuse(`has its bitmap at ${bitmapOffset}, before the end of its header at ${headerEnd}`);
  }
  const bitmapEnd = bitmapOffset + bitmapBytes(length / pageSize);
  if (pagesOffset < bitmapEnd) {
    refuse(`has its pages at ${pagesOffset}, before the end of its bitmap at ${bitmapEnd}`);
  }
  if (pagesOffset % pageSize !== 0) {
    refuse(`has its pages at ${pagesOffset}, which is no multiple of ${pageSize}`);
  }
  const end = pagesOffset + length;
  if (end > size) {
    throw new ConnectionLostError(
      `The file ends at ${size}, and the pages of RAM block "${name}" at ${end}`,
      { place: { offset: position }, advice: "The file was cut off." },
    );
  }
  return { bitmapOffset, pagesOffset, end };
}

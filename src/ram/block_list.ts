/**
 * The payload of the `ram` section's START: which blocks there are and how long they are (wire-format
 * §5.2 and §7; QEMU `migration/ram.c`, `ram_save_setup` and `parse_ramblocks`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import type { ByteWriter } from "../wire/byte_writer.ts";
import { RamFlag } from "./flags.ts";

/** QEMU's machines have some ten blocks, large ones a few hundred; a list of more than this lies. */
const BLOCKS_MAX = 4096;
/** The most RAM that is received, all blocks together, in bytes. */
export const RAM_MAX = 1024 ** 4;

/** One block as the stream announces it. */
export interface RamBlockEntry {
  readonly name: string;
  /** In bytes; a multiple of the target page. */
  readonly length: number;
  /** The block's own page, in bytes, when it differs from the host's (postcopy only). */
  readonly hostPageSize?: number;
  /** Guest-physical address, with the capability `x-ignore-shared`. */
  readonly guestAddress?: bigint;
}

/** What decides the optional members, known to both sides beforehand. */
export interface BlockListDialect {
  /** The target page, in bytes. */
  readonly pageSize: number;
  /** The capability `x-ignore-shared` is on: every block has its address. */
  readonly ignoreShared?: boolean;
  /**
   * The page sizes that the source has announced for postcopy, a bit for each: a block of other pages than
   * the source's host has says so in the list.
   */
  readonly hostPageSizes?: number;
  /** Reads what follows a block's entry in a mapped-ram file. */
  readonly afterBlock?: (entry: RamBlockEntry) => Promise<void>;
}

/** Writes the list with its header; the end-of-section record is the caller's. */
export function writeBlockList(writer: ByteWriter, blocks: readonly RamBlockEntry[]): void {
  writeBlockListHeader(writer, blocks);
  for (const block of blocks) writeBlockEntry(writer, block);
}

/** Writes how long all blocks are together, which the list begins with. */
export function writeBlockListHeader(writer: ByteWriter, blocks: readonly RamBlockEntry[]): void {
  const total = blocks.reduce((sum, block) => sum + block.length, 0);
  writer.be64(total + RamFlag.MEM_SIZE);
}

/** Writes one block's entry. */
export function writeBlockEntry(writer: ByteWriter, block: RamBlockEntry): void {
  writer.countedString(block.name).be64(block.length);
  if (block.hostPageSize !== undefined) writer.be64(block.hostPageSize);
  if (block.guestAddress !== undefined) writer.be64(block.guestAddress);
}

/**
 * Reads the list.
 * @param total The lengths' sum, from the list's header, in bytes.
 * @throws {StreamFormatError} If the list has too many blocks, one without a name, of a length that is
 * not whole pages, or more bytes than its header says.
 */
export async function readBlockList(
  reader: ByteReader,
  total: number,
  dialect: BlockListDialect,
): Promise<RamBlockEntry[]> {
  const refuse = (why: string, offset: number): never => {
    throw new StreamFormatError(why, { place: { offset } });
  };
  if (total > RAM_MAX) {
    refuse(`RAM of ${total} bytes: at most ${RAM_MAX} are received`, reader.position);
  }
  const blocks: RamBlockEntry[] = [];
  for (let left = total; left > 0;) {
    const offset = reader.position;
    if (blocks.length === BLOCKS_MAX) refuse(`More than ${BLOCKS_MAX} RAM blocks`, offset);
    const name = await reader.countedString("a RAM block's name");
    if (name === "") refuse("RAM block without a name", offset);
    if (blocks.some((block) => block.name === name)) {
      refuse(`RAM block "${name}" is listed twice`, offset);
    }
    const length = await reader.size64(`the length of RAM block ${name}`);
    if (length % dialect.pageSize !== 0) {
      refuse(
        `RAM block "${name}" of ${length} bytes is not whole pages of ${dialect.pageSize}`,
        offset,
      );
    }
    if (length > left) {
      refuse(`RAM block "${name}" of ${length} bytes: only ${left} of ${total} are left`, offset);
    }
    const entry: RamBlockEntry = {
      name,
      length,
      ...await readHostPageSize(reader, dialect.hostPageSizes ?? 0),
      ...dialect.ignoreShared
        ? { guestAddress: await reader.be64(`the address of RAM block ${name}`) }
        : {},
    };
    await dialect.afterBlock?.(entry);
    blocks.push(entry);
    left -= length;
  }
  return blocks;
}

/**
 * The block's page size is there only if it differs from the source's host's, which the stream does not say:
 * it is recognized as one of the announced sizes. As a name it would be empty, as a record without flags.
 */
async function readHostPageSize(
  reader: ByteReader,
  announced: number,
): Promise<{ readonly hostPageSize?: number }> {
  if (announced === 0 || await reader.peekU8() !== 0) return {};
  await reader.need(8, "what follows a RAM block's length");
  const bytes = new Uint8Array(8);
  reader.source.peek(bytes);
  const value = Number(new DataView(bytes.buffer).getBigUint64(0));
  if (!pageSizesOf(announced).includes(value)) return {};
  reader.source.consume(bytes.length);
  return { hostPageSize: value };
}

/** Page sizes, smallest first, of which each is a bit of a number. */
export function pageSizesOf(bits: number): number[] {
  const sizes = [];
  for (let left = bits, size = 1; left > 0; left = Math.floor(left / 2), size *= 2) {
    if (left % 2 === 1) sizes.push(size);
  }
  return sizes;
}

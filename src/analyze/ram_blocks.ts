/**
 * Reads the list of RAM blocks, and in a mapped-ram file what follows each entry (wire-format §5.2, §7).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import type { StreamInput } from "./input.ts";
import type { PageSink, RamWalk } from "./ram_walk.ts";
import { WalkedBlock } from "./walked_block.ts";

/** QEMU's machines have some ten blocks, large ones a few hundred; a list of more than this lies. */
const BLOCKS_MAX = 4096;
/** 64 TiB: more than any machine has, and few enough pages to be counted. */
const RAM_MAX = 64 * 1024 ** 4;
/** How much of a mapped-ram bitmap is read in one go, in bytes. */
const BITMAP_PART = 32 * 1024;

/**
 * Reads the list; the header's record has been consumed.
 * @param total The sum of the lengths, from that record.
 * @param walk Gets the blocks.
 * @param sink Is told of the pages that a mapped-ram file has.
 * @throws {StreamFormatError} If a name repeats, a block is larger than what is left, or there are too many.
 */
export function readBlocks(
  input: StreamInput,
  total: number,
  walk: RamWalk,
  sink: PageSink | undefined,
): void {
  if (total > RAM_MAX) refuse(`RAM of ${total} bytes is absurd`, input.position - 8);
  const { dialect } = walk;
  const known = walk.blocks.splice(0);
  walk.forgetBlock();
  let start = 0;
  let firstPage = 0;
  while (start < total) {
    const offset = input.position;
    if (walk.blocks.length === BLOCKS_MAX) refuse(`More than ${BLOCKS_MAX} RAM blocks`, offset);
    const name = input.countedString("a RAM block's name");
    if (name === "") refuse("RAM block without a name", offset);
    if (walk.blocks.some((block) => block.name === name)) {
      refuse(`RAM block "${name}" is listed twice`, offset);
    }
    const length = input.size64(`the length of RAM block ${name}`);
    if (length > total - start) {
      refuse(
        `RAM block "${name}" of ${length} bytes: only ${total - start} of ${total} are left`,
        offset,
      );
    }
    const hostPageSize = readHostPageSize(input, walk);
    const address = dialect.ignoreShared ? input.be64(`the address of ${name}`) : undefined;
    // A list that comes again does not begin the blocks again.
    const block = known.find((each) => each.name === name && each.length === length) ??
      new WalkedBlock({
        ...{ name, length, firstPage, pageSize: dialect.pageSize, address, hostPageSize },
      });
    walk.blocks.push(block);
    if (dialect.mappedRam) readMappedBlock(input, block, dialect.ignoreShared, sink);
    start += length;
    firstPage += block.pages;
  }
}

/**
 * The block's page size is there only if it differs from the host's, which the stream does not say: it is
 * recognized as one of the announced sizes. As a name it would be empty, as a record without flags.
 */
function readHostPageSize(input: StreamInput, walk: RamWalk): number | undefined {
  if (walk.advisedPageSizes === 0n || !input.has(8)) return undefined;
  const value = input.view.getBigUint64(input.at);
  if (value === 0n || (value & (value - 1n)) !== 0n) return undefined;
  if ((value & walk.advisedPageSizes) === 0n) return undefined;
  input.at += 8;
  return Number(value);
}

function readMappedBlock(
  input: StreamInput,
  block: WalkedBlock,
  ignoreShared: boolean,
  sink: PageSink | undefined,
): void {
  const offset = input.position;
  const version = input.be32("a mapped-ram header");
  if (version !== 1) refuse(`mapped-ram header version ${version}, not 1`, offset);
  const pageSize = input.size64("a mapped-ram page size");
  if (pageSize !== block.pageSize) {
    refuse(`mapped-ram page of ${pageSize} bytes, not ${block.pageSize}`, offset + 4);
  }
  const bitmapOffset = input.size64("a mapped-ram bitmap's offset");
  const pagesOffset = input.size64("the offset of mapped-ram pages");
  // Shared blocks are left out.
  if (ignoreShared && bitmapOffset === 0 && pagesOffset === 0) return;
  const bitmapSize = Math.ceil(block.pages / 64) * 8;
  if (bitmapOffset < input.position || pagesOffset < bitmapOffset + bitmapSize) {
    refuse(
      `RAM block "${block.name}": its bitmap at 0x${bitmapOffset.toString(16)} and its pages at ` +
        `0x${pagesOffset.toString(16)} overlap what stands before them`,
      offset + 12,
    );
  }
  block.mapped = { bitmapOffset, pagesOffset };
  input.skip(bitmapOffset - input.position, "what stands before a mapped-ram bitmap");
  let page = 0;
  for (let left = bitmapSize; left > 0;) {
    const part = Math.min(left, BITMAP_PART);
    input.need(part, "a mapped-ram bitmap");
    for (let i = 0; i < part; i++, page += 8) {
      const bits = input.bytes[input.at + i]!;
      if (bits !== 0) mappedPages(block, page, bits, sink);
    }
    input.at += part;
    left -= part;
  }
  input.skip(pagesOffset - input.position, "what stands before mapped-ram pages");
  input.skip(block.length, `the pages of ${block.name}`);
}

function mappedPages(
  block: WalkedBlock,
  first: number,
  bits: number,
  sink: PageSink | undefined,
): void {
  for (let bit = 0; bit < 8; bit++) {
    const page = first + bit;
    if (!(bits & 1 << bit) || page >= block.pages) continue;
    block.count(page, "normal");
    const at = block.mapped!.pagesOffset + page * block.pageSize;
    sink?.page(block, page, "normal", at, block.pageSize);
  }
}

function refuse(why: string, offset: number): never {
  throw new StreamFormatError(why, { place: { offset } });
}

/**
 * The payloads of the commands that prepare postcopy (wire-format §8.1, §8.2, §8.9; QEMU
 * `migration/savevm.c`, `loadvm_postcopy_handle_advise`, `loadvm_postcopy_ram_handle_discard`).
 *
 * @module
 */
import { IncompatibleError, StreamFormatError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { hostPageUnit, type RamBlock } from "../machine/ram_block.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import type { ReceivedCommand } from "../wire/command.ts";

/** What ADVISE carries when RAM is to be sent in postcopy. */
const ADVICE_SIZE = 16;
const DISCARD_VERSION = 0;
/** Version, name's length, a name of one byte, its end, and one range. */
const DISCARD_SIZE_MIN = 20;
const RANGE_SIZE = 16;

/** A range of a block that the source will send again; in bytes, whole pages of the host. */
export interface DiscardedRange {
  readonly start: number;
  readonly length: number;
}

/** The largest page of a source's host, in bytes: so much is put together before it is placed. */
const HOST_PAGE_MAX = 1024 ** 3;

/**
 * Reads ADVISE.
 * @param pageSize The target page, in bytes.
 * @returns The sizes of the pages of the source's host, in bytes, a bit for each.
 * @throws {StreamFormatError} If the payload is not that of a postcopy of RAM.
 * @throws {IncompatibleError} If the source's pages are of other sizes than can be received.
 */
export async function readAdvice(advise: ReceivedCommand, pageSize: number): Promise<number> {
  const { length, payload } = advise;
  if (length !== ADVICE_SIZE) {
    throw new StreamFormatError(`POSTCOPY_ADVISE with ${length} bytes, not ${ADVICE_SIZE}`, {
      advice: "Both sides must have the same capabilities.",
    });
  }
  const hostPages = await payload.size64("the sizes of the source's pages");
  const targetPage = await payload.size64("the target page");
  if (targetPage !== pageSize) {
    throw new IncompatibleError(`Pages of ${targetPage} bytes there and of ${pageSize} here`);
  }
  if (hostPages === 0 || hostPages % pageSize !== 0 || hostPages >= 2 * HOST_PAGE_MAX) {
    throw new IncompatibleError(
      `The source's RAM has pages of 0x${hostPages.toString(16)} bytes (a bit for each size), ` +
        `and only from 0x${pageSize.toString(16)} to 0x${HOST_PAGE_MAX.toString(16)} are received`,
      { advice: "Give the source RAM of other pages, or migrate without postcopy." },
    );
  }
  return hostPages;
}

/**
 * Reads DISCARD.
 * @returns The block and its ranges, all of them checked.
 * @throws {StreamFormatError} If it is malformed, or a range is not whole pages inside the block.
 * @throws {IncompatibleError} If this machine has no such block.
 */
export async function readDiscard(
  { length, payload }: ReceivedCommand,
  ram: GuestRam,
): Promise<{ block: RamBlock; ranges: DiscardedRange[] }> {
  const refuse = (why: string): never => {
    throw new StreamFormatError(why);
  };
  if (length < DISCARD_SIZE_MIN) refuse(`A payload of ${length} bytes is too short`);
  const version = await payload.u8("the version");
  if (version !== DISCARD_VERSION) refuse(`Version ${version} is not known`);
  const nameLength = payload.source.available === 0 ? 0 : await payload.peekU8() ?? 0;
  const rest = length - 3 - nameLength;
  if (rest < RANGE_SIZE || rest % RANGE_SIZE !== 0) {
    refuse(`${length} bytes do not fit a name of ${nameLength}`);
  }
  const block = await readBlock(payload, ram);
  if (await payload.u8("the name's end") !== 0) refuse("The block's name has no end");
  const ranges: DiscardedRange[] = [];
  for (let left = rest; left > 0; left -= RANGE_SIZE) {
    const start = await payload.size64("a range's start");
    const size = await payload.size64("a range's length");
    const { hostPageSize } = block;
    const end = start + size;
    const isWhole = (offset: number) => offset % hostPageSize === 0 || offset === block.length;
    if (size === 0 || end > block.length || start % hostPageSize !== 0 || !isWhole(end)) {
      refuse(
        `Range 0x${start.toString(16)}+0x${size.toString(16)} is not whole pages of ` +
          `RAM block "${block.name}" of 0x${block.length.toString(16)} bytes`,
      );
    }
    ranges.push({ start, length: size });
  }
  return { block, ranges };
}

/**
 * Reads a block's counted name.
 * @throws {IncompatibleError} If this machine has no such block.
 */
export async function readBlock(payload: ByteReader, ram: GuestRam): Promise<RamBlock> {
  const name = await payload.countedString("a RAM block's name");
  const block = ram.block(name);
  if (!block) throw new IncompatibleError(`RAM block "${name}", which this machine does not have`);
  return block;
}

/** Forgets that pages of a range have come. */
export function forgetPages(ram: GuestRam, block: RamBlock, range: DiscardedRange): void {
  block.received.fill(range.start / ram.pageSize, range.length / ram.pageSize, false);
}

/**
 * Forgets the pages of the host of which only parts have come: they are placed as a whole.
 * @returns How many target pages that were.
 */
export function forgetParts(ram: GuestRam, block: RamBlock): number {
  const { received, pageCount } = block;
  const unit = hostPageUnit(block, ram.pageSize);
  let forgotten = 0;
  // From one page that has not come to the next: those between are whole.
  for (let page = 0; unit > 1 && (page = received.next(page, false)) < pageCount;) {
    const first = page - page % unit;
    const end = Math.min(first + unit, pageCount);
    for (page = first; (page = received.next(page, true, end)) < end; page++) {
      received.delete(page);
      forgotten++;
    }
  }
  return forgotten;
}

/** How many of all pages have not come. */
export function countMissing(ram: GuestRam): number {
  return ram.blocks.reduce((sum, { pageCount, received }) => sum + pageCount - received.count(), 0);
}

/**
 * Notes where in the stream records stand, by walking over those that were just encoded.
 *
 * @module
 */
import type { PageIndex } from "./page_index.ts";
import { RamFlag } from "./flags.ts";

/**
 * Notes the records in a sending buffer.
 * @param index Where they are noted.
 * @param block The index of the block that they are all of.
 * @param pageSize The target page, in bytes.
 * @param view The buffer, with whole records from `from` to `end`.
 * @param streamOffset Where in the file the record at `from` will stand.
 */
export function noteRecords(
  index: PageIndex,
  block: number,
  pageSize: number,
  view: DataView<ArrayBufferLike>,
  from: number,
  end: number,
  streamOffset: number,
): void {
  for (let at = from; at < end;) {
    const low = view.getUint32(at + 4);
    const offset = view.getUint32(at) * 2 ** 32 + low - low % pageSize;
    const isZero = (low & RamFlag.ZERO) !== 0;
    index.set(block, offset / pageSize, streamOffset + at - from, isZero);
    const name = low & RamFlag.CONTINUE ? 0 : 1 + view.getUint8(at + 8);
    at += 8 + name + (isZero ? 1 : pageSize);
  }
}

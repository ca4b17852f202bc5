/**
 * Brings a page up to date by an XBZRLE record (wire-format §5.7; QEMU `migration/xbzrle.c`).
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";

/**
 * Applies a record's changes: runs of bytes that stay and runs of bytes that are new, in turns.
 * @param changes The record's content.
 * @param page The page as it was; as it is, afterwards.
 * @param offset Where the content stands in the stream, for messages.
 * @throws {StreamFormatError} If the runs are malformed or leave the page.
 */
export function applyXbzrle(changes: Uint8Array, page: Uint8Array, offset: number): void {
  const refuse = (why: string): never => {
    throw new StreamFormatError(why, { place: { offset: offset + at } });
  };
  let at = 0;
  let to = 0;
  const length = (what: string): number => {
    const low = changes[at] ?? refuse(`XBZRLE record ends before the length of ${what}`);
    at++;
    if (low < 0x80) return low;
    const high = changes[at] ?? refuse(`XBZRLE record ends inside the length of ${what}`);
    if (high >= 0x80) refuse(`XBZRLE record with a length of more than 14 bits`);
    at++;
    return (low & 0x7f) | high << 7;
  };
  while (at < changes.length) {
    to += length("what stays");
    const count = length("what is new");
    if (count === 0) refuse("XBZRLE record with nothing new in a run");
    if (at + count > changes.length) refuse("XBZRLE record ends inside what is new");
    if (to + count > page.length) refuse("XBZRLE record leaves its page");
    page.set(changes.subarray(at, at + count), to);
    at += count;
    to += count;
  }
}

/**
 * Claiming pages for sending: whoever clears a page's dirty bit sends the page. So no page is sent twice
 * by two threads, a page that was handed out but not sent is still dirty, and a requested page can be
 * taken from under the background scan.
 *
 * The bit is cleared before the page is read: a write that comes after the clearing is seen by the next
 * sync of the dirty log, one that came before it is in what is read.
 *
 * @module
 */
import type { PageBitmap } from "../machine/page_bitmap.ts";

/**
 * Claims those of `count` pages from `first` on that are dirty.
 * @param dirty The block's dirty bitmap.
 * @param into Receives pairs of first page and count; room for `count` pairs is always enough.
 * @returns How many runs there are.
 */
export function claimPages(
  dirty: PageBitmap,
  first: number,
  count: number,
  into: Int32Array,
): number {
  const words = dirty.words;
  const end = first + count;
  let runs = 0;
  let runEnd = -1;
  for (let page = first; page < end;) {
    const bit = page & 31;
    const width = Math.min(32 - bit, end - page);
    const mask = width === 32 ? -1 : ((1 << width) - 1) << bit;
    let claimed = Atomics.load(words, page >>> 5) & mask;
    if (claimed !== 0) claimed &= Atomics.and(words, page >>> 5, ~claimed);
    const base = page - bit;
    page += width;
    while (claimed !== 0) {
      const from = 31 - Math.clz32(claimed & -claimed);
      const inverted = ~(claimed >>> from);
      const length = inverted === 0 ? 32 : 31 - Math.clz32(inverted & -inverted);
      if (base + from === runEnd) {
        into[2 * runs - 1]! += length;
      } else {
        into[2 * runs] = base + from;
        into[2 * runs + 1] = length;
        runs++;
      }
      runEnd = base + from + length;
      claimed = length === 32 ? 0 : claimed & ~(((1 << length) - 1) << from);
    }
  }
  return runs;
}

/**
 * As {@linkcode claimPages}, in whole units: all pages of a unit are claimed by one thread, or none. Every
 * thread that claims at that time must claim in these units.
 * @param unit How many pages a unit has; `first` and `count` are multiples of it.
 */
export function claimUnits(
  dirty: PageBitmap,
  unit: number,
  first: number,
  count: number,
  into: Int32Array,
): number {
  if (unit === 1) return claimPages(dirty, first, count, into);
  let runs = 0;
  for (let page = first; page < first + count; page += unit) {
    // Who gets the unit's first page has the others.
    if (!dirty.delete(page)) continue;
    for (let other = page + 1; other < page + unit; other++) dirty.delete(other);
    if (runs > 0 && into[2 * runs - 2]! + into[2 * runs - 1]! === page) {
      into[2 * runs - 1]! += unit;
    } else {
      into[2 * runs] = page;
      into[2 * runs + 1] = unit;
      runs++;
    }
  }
  return runs;
}

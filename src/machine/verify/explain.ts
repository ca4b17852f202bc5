/**
 * Says what is wrong with a page: what it should be, and what it looks like instead. A page from an
 * earlier round, from another place or of zeros are the ways in which a migration loses data.
 *
 * @module
 */
import { blockTag, type Part } from "../guests/part.ts";
import type { StressExports } from "../guests/stress.ts";

/** What is wrong with a page, in words. */
export interface Explanation {
  /** What it must hold. */
  readonly expected: string;
  /** What it holds. */
  readonly found: string;
}

/** How many generations back and forth a page is compared with. */
const GENERATIONS = 16;

/**
 * Explains a page of the guest `beat`.
 * @param part The share it is in.
 * @param page Its place in the share.
 * @param pageSize In bytes.
 */
export function explainBeat(part: Part, page: number, pageSize: number): Explanation {
  const number = part.firstPage + page;
  const count = part.exports.expected(page) >>> 0;
  const expected = count === 0 ? "zeros" : `count ${count}`;
  const bytes = pageBytes(part, page, pageSize);
  if (bytes.every((byte) => byte === 0)) return { expected, found: "zeros" };

  const words = new Uint32Array(bytes.buffer);
  const [found = 0, itsNumber = 0] = words;
  const tag = blockTag(part.block.name);
  const isWhole = (number: number) =>
    words.every((word, i) => i === 0 || word === (i % 2 ? number : tag));
  if (isWhole(number)) return { expected, found: `count ${found}` };
  if (isWhole(itsNumber)) return { expected, found: `page ${itsNumber} with count ${found}` };
  const right = words.map((_, i) => count === 0 ? 0 : i === 0 ? count : i % 2 ? number : tag);
  return { expected, found: firstDifference(bytes, new Uint8Array(right.buffer)) };
}

/**
 * Explains a page of the guest `stress`.
 * @param part The share it is in.
 * @param page Its place in the share.
 * @param pageSize In bytes.
 */
export function explainStress(part: Part, page: number, pageSize: number): Explanation {
  const exports = part.exports as StressExports;
  const generation = exports.expected(page) >>> 0;
  const expected = `generation ${generation}`;
  exports.make(page, generation);
  const right = new Uint8Array(exports.own.buffer).slice(0, pageSize);
  const bytes = pageBytes(part, page, pageSize);
  if (bytes.every((byte) => byte === 0)) return { expected, found: "zeros" };

  const first = Math.max(1, generation - GENERATIONS);
  for (let other = first; other <= generation + GENERATIONS; other++) {
    exports.make(page, other);
    if (exports.same(page)) return { expected, found: `generation ${other}` };
  }
  const same = (made: Uint8Array) => bytes.every((byte, i) => byte === made[i]);
  const made = new Uint8Array(exports.own.buffer, 0, pageSize);
  for (let other = 0; other < part.pages; other++) {
    const itsGeneration = exports.expected(other) >>> 0;
    exports.make(other, itsGeneration);
    if (!same(made)) continue;
    return { expected, found: `page ${part.firstPage + other} of generation ${itsGeneration}` };
  }
  return { expected, found: firstDifference(bytes, right) };
}

function pageBytes(part: Part, page: number, pageSize: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(part.block.view((part.firstPage + page) * pageSize, pageSize));
}

function firstDifference(found: Uint8Array, right: Uint8Array): string {
  const at = found.findIndex((byte, i) => byte !== right[i]);
  const different = found.reduce((sum, byte, i) => sum + Number(byte !== right[i]), 0);
  const hex = (byte: number | undefined) => `0x${byte?.toString(16).padStart(2, "0")}`;
  return `${different} other bytes, the first at ${at}: ${hex(found[at])} for ${hex(right[at])}`;
}

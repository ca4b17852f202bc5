/**
 * What a thread that reads pages and its owner tell each other.
 *
 * @module
 */

/** The words shared with who has pages read. */
export const TouchWord = {
  /** How many pages were read so far. */
  READ: 0,
  /** Not 0 once nobody wants more. */
  STOP: 1,
  /** How many may be read. */
  ALLOWED: 2,
} as const;

/** The words of a thread that has read nothing and may read all. */
export function touchProgress(): Int32Array<SharedArrayBuffer> {
  const words = new Int32Array(new SharedArrayBuffer(12));
  words[TouchWord.ALLOWED] = 2 ** 31 - 1;
  return words;
}

/**
 * How pages change between two rounds.
 *
 * @module
 */

/** A page, in bytes. */
export const PAGE = 4096;

/** Changes a page. `page` is its number. */
export type Change = (bytes: Uint8Array, page: number) => void;

/** What a page has before it changes: few zeros, and no two pages alike. */
export function fillPage(bytes: Uint8Array, page: number): void {
  for (let i = 0; i < bytes.length; i += 4) bytes[i] = (i >> 4) + page;
}

/** A run of changed bytes, and two of one byte each behind it, as QEMU's unit test makes them. */
function runAndTwoBytes(length: number, bytes: Uint8Array): void {
  for (let i = 1; i <= length; i++) bytes[1000 + i]! += 4;
  bytes[1000 + length + 3]! += 4;
  bytes[1000 + length + 5]! += 4;
}

/** By what they are called. */
export const CHANGES: Readonly<Record<string, Change>> = {
  "nothing": () => {},
  "one byte, somewhere": (bytes, page) => bytes[page * 67 % PAGE]!++,
  "the last byte": (bytes) => bytes[PAGE - 1]!++,
  "8 runs of 4 bytes": (bytes) => {
    for (let run = 0; run < 8; run++) for (let i = 0; i < 4; i++) bytes[run * 500 + i]!++;
  },
  "64 bytes in a row": (bytes, page) => {
    for (let i = 0; i < 64; i++) bytes[page * 67 % (PAGE - 64) + i]!++;
  },
  "up to 3090 in a row and 2 more": (bytes, page) => runAndTwoBytes(page * 67 % 3090, bytes),
  "every eighth byte": (bytes) => {
    for (let i = 0; i < PAGE; i += 8) bytes[i]!++;
  },
  "all but every eighth byte (too much)": (bytes) => {
    for (let i = 0; i < PAGE; i++) if (i % 8 !== 0) bytes[i]!++;
  },
  "random runs of up to 16": (bytes, page) => {
    let state = page + 1;
    const next = () => (state = Math.imul(state, 1664525) + 1013904223 >>> 0) >>> 8;
    for (let at = next() % 64; at < PAGE; at += 1 + next() % 128) {
      for (const end = Math.min(PAGE, at + 1 + next() % 16); at < end; at++) bytes[at]!++;
    }
  },
  "every second byte (too much)": (bytes) => {
    for (let i = 0; i < PAGE; i += 2) bytes[i]!++;
  },
  "everything (too much)": (bytes) => {
    for (let i = 0; i < PAGE; i++) bytes[i]!++;
  },
};

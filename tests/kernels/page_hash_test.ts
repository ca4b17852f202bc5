import { assertEquals } from "@std/assert";
import { pageHash } from "../../src/dirty/digest_table.ts";

const KEY_OFFSET = 64;
const WORDS_PER_BLOCK = 8;

/** The kernel over memories of its own, with random bytes as pages and key. */
function makeHash() {
  const make = (pages: number) =>
    new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const [pages, staging, digests, tables] = [make(2), make(2), make(4), make(1)] as const;
  for (const memory of [pages, digests]) {
    const bytes = new Uint8Array(memory.buffer);
    for (let at = 0; at < bytes.length; at += 65536) {
      bytes.set(crypto.getRandomValues(new Uint8Array(65536)), at);
    }
  }
  return { pages, staging, digests, hash: pageHash({ pages, staging, digests, tables }) };
}

/** NH as its authors define it, over pairs of words that are 16 bytes apart, in plain arithmetic. */
function nh(page: Uint32Array, key: Uint32Array): bigint {
  let sum = 0n;
  for (let block = 0; block < page.length; block += WORDS_PER_BLOCK) {
    for (let i = block; i < block + WORDS_PER_BLOCK / 2; i++) {
      const [a, b] = [i, i + WORDS_PER_BLOCK / 2].map((at) =>
        BigInt.asUintN(32, BigInt(page[at]!) + BigInt(key[at]!))
      ) as [bigint, bigint];
      sum += a * b;
    }
  }
  return BigInt.asUintN(64, sum);
}

for (const size of [1024, 4096, 65536]) {
  Deno.test(`page_hash's record() gives NH under two keys, for pages of ${size}`, () => {
    const { pages, digests, hash } = makeHash();
    const at = 65536 - size + 65536 % size;
    const to = 3 * 65536;
    hash.record(at, size, to);
    const page = new Uint32Array(pages.buffer, at, size / 4);
    const key = new Uint32Array(digests.buffer, KEY_OFFSET, size / 4 + WORDS_PER_BLOCK);
    assertEquals(
      [...new BigUint64Array(digests.buffer, to, 2)],
      [nh(page, key), nh(page, key.subarray(WORDS_PER_BLOCK))],
    );
  });
}

Deno.test("page_hash's take() copies a page, no more, and forgets its digest", () => {
  const { pages, staging, digests, hash } = makeHash();
  hash.take(4096, 8192, 4096, 3 * 65536);
  const copied = new Uint8Array(staging.buffer);
  assertEquals(copied.slice(8192, 12288), new Uint8Array(pages.buffer).slice(4096, 8192));
  assertEquals([copied[8191], copied[12288]], [0, 0]);
  assertEquals(
    [...new BigUint64Array(digests.buffer, 3 * 65536 - 8, 4)].map((word) => word === 0n),
    [
      false,
      true,
      true,
      false,
    ],
  );
});

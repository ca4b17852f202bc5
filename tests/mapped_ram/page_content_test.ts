import { assert, assertEquals } from "@std/assert";
import { DIGEST_BYTES, DigestTable } from "../../src/dirty/digest_table.ts";
import type { GuestRam } from "../../src/machine/guest_ram.ts";
import type { RamBlock } from "../../src/machine/ram_block.ts";
import { CopiedPages, type PageContent, PagesInPlace } from "../../src/mapped_ram/page_content.ts";
import { patternedRam } from "../ram/fixtures/patterned_ram.ts";
import { splitRam } from "./fixtures/split_ram.ts";

/** What is given of some pages, put together by the places it is said to have. */
function given(content: PageContent, block: RamBlock, page: number, count: number): Uint8Array {
  const all = new Uint8Array(count * 4096);
  for (let each = page; each < page + count; each++) content.isZero(block, each, page);
  content.give(block, page, count, page, (bytes, at, length, behind) => {
    all.set(bytes.subarray(at, at + length), behind);
  });
  return all;
}

const KINDS: Readonly<Record<string, (ram: GuestRam, detect: boolean) => PageContent>> = {
  PagesInPlace: (ram, detect) => new PagesInPlace(ram, detect),
  CopiedPages: (ram, detect) => new CopiedPages(ram, detect, DigestTable.create(ram).layout),
};

for (const [name, open] of Object.entries(KINDS)) {
  Deno.test(`${name} gives pages as they are, whatever memories they lie in`, () => {
    for (const ram of [patternedRam(false), patternedRam(true), splitRam()]) {
      const content = open(ram, true);
      for (const block of ram.blocks) {
        assertEquals(
          given(content, block, 1, block.pageCount - 1),
          new Uint8Array(allOf(block).subarray(4096)),
        );
      }
    }
  });

  Deno.test(`${name} knows zeros by looking, or only those that nobody touched`, () => {
    const ram = patternedRam(false);
    const block = ram.blocks[1]!;
    block.view(6 * 4096, 4096).fill(0);
    block.untouched.delete(6);
    const [looks, believes] = [open(ram, true), open(ram, false)];
    for (
      const [page, isZero, isUntouched] of [[3, true, true], [4, false, false], [
        6,
        true,
        false,
      ]] as const
    ) {
      assertEquals(looks.isZero(block, page, 0), isZero);
      assertEquals(believes.isZero(block, page, 0), isUntouched);
    }
    // The last byte counts.
    block.view(6 * 4096 + 4095, 1)[0] = 1;
    assertEquals(looks.isZero(block, 6, 0), false);
  });
}

Deno.test("CopiedPages gives what the digest is of, whatever the guest writes meanwhile", () => {
  const ram = patternedRam(false);
  const block = ram.blocks[1]!;
  const table = DigestTable.create(ram);
  const content = new CopiedPages(ram, true, table.layout);
  const digest = () => {
    const at = table.offset(1, 4);
    return new Uint8Array(table.memory.buffer).slice(at, at + DIGEST_BYTES).toHex();
  };
  const before = block.view(4 * 4096, 4096).slice();
  assertEquals(content.isZero(block, 4, 2), false);
  const noted = digest();
  assert(/[^0]/.test(noted));
  block.view(4 * 4096, 1)[0]! ^= 0xff;
  content.give(block, 4, 1, 2, (bytes, at, length) => {
    assertEquals(new Uint8Array(bytes.subarray(at, at + length)), new Uint8Array(before));
  });
  assertEquals(digest(), noted);
});

function allOf(block: RamBlock): Uint8Array {
  const all = new Uint8Array(block.length);
  for (let at = 0; at < block.length;) {
    const part = block.view(at, block.length - at);
    all.set(part, at);
    at += part.length;
  }
  return all;
}

import { assertEquals } from "@std/assert";
import { MappedPages } from "../../src/mapped_ram/mapped_pages.ts";

Deno.test("MappedPages knows each page's place, in every thread", () => {
  const pages = MappedPages.create([3, 0, 700]);
  pages.place(0, 2 ** 20);
  pages.place(2, 2 ** 40);
  const elsewhere = new MappedPages(pages.layout);
  assertEquals(elsewhere.offset(0, 2, 4096), 2 ** 20 + 8192);
  assertEquals(elsewhere.offset(2, 699, 1024), 2 ** 40 + 699 * 1024);
  pages.bitmap(2).add(699);
  assertEquals(elsewhere.bitmap(2).has(699), true);
  assertEquals([0, 1, 2].map((block) => elsewhere.bitmap(block).count()), [0, 0, 1]);
});

Deno.test("MappedPages.bytes() is the bitmap as a QEMU on x86 has it in the file", () => {
  const pages = MappedPages.create([70, 65]);
  for (const page of [0, 9, 63, 64, 69]) pages.bitmap(0).add(page);
  pages.bitmap(1).add(1);
  assertEquals(pages.bytes(0).toHex(), "0102000000000080" + "2100000000000000");
  assertEquals(pages.bytes(1).toHex(), "0200000000000000" + "0000000000000000");
});

Deno.test("MappedPages.trim() forgets pages that the block does not have", () => {
  for (const count of [0, 1, 31, 32, 33, 63, 64, 70, 512, 513]) {
    const pages = MappedPages.create([count, 64]);
    pages.bytes(0).fill(0xff);
    pages.trim(0);
    assertEquals(pages.bitmap(0).count(), count);
    assertEquals(pages.bitmap(0).next(0, false), count);
    assertEquals(pages.bitmap(1).count(), 0);
  }
});

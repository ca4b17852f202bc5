import { assertEquals, assertThrows } from "@std/assert";
import { withHostPages, withSourcePages } from "../../src/control/host_pages.ts";
import { IncompatibleError, SettingError } from "../../src/errors.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";

const BLOCKS = [{ name: "ram", length: 4 * 1024 ** 2 }, { name: "rom", length: 12288 }];

Deno.test("withHostPages() gives blocks larger pages, and leaves the others and the memory as they are", () => {
  const listed = { ram: GuestRam.create(BLOCKS), blocks: BLOCKS };
  const { ram, blocks } = withHostPages(listed, { ram: 2 * 1024 ** 2 });
  assertEquals(ram.blocks.map(({ hostPageSize }) => hostPageSize), [2 * 1024 ** 2, 4096]);
  assertEquals(blocks, [{ ...BLOCKS[0]!, hostPageSize: 2 * 1024 ** 2 }, BLOCKS[1]!]);
  ram.blocks[0]!.view(5, 1)[0] = 7;
  ram.blocks[0]!.dirty.add(3);
  assertEquals(listed.ram.blocks[0]!.view(5, 1)[0], 7);
  assertEquals(listed.ram.blocks[0]!.dirty.has(3), true);
  assertEquals(withHostPages(listed, {}).blocks, BLOCKS);
});

Deno.test("withHostPages() refuses what does not fit", () => {
  const listed = { ram: GuestRam.create(BLOCKS), blocks: BLOCKS };
  assertThrows(() => withHostPages(listed, { pc: 4096 }), SettingError, 'no RAM block "pc"');
  for (const size of [0, 2048, 3 * 4096, 8 * 1024 ** 2]) {
    assertThrows(() => withHostPages(listed, { ram: size }), SettingError, `pages of ${size}`);
  }
  assertThrows(() => withHostPages(listed, { rom: 8192 }), SettingError, "not whole pages");
});

Deno.test("withSourcePages() gives each block the source's pages: those listed, and else the smallest", () => {
  const own = GuestRam.create(BLOCKS);
  const sizes = (announced: number, ...pages: (number | undefined)[]) => {
    const blocks = BLOCKS.map((block, i) => {
      const hostPageSize = pages[i];
      return { ...block, ...hostPageSize !== undefined && { hostPageSize } };
    });
    return withSourcePages(own, blocks, announced).blocks.map(({ hostPageSize }) => hostPageSize);
  };
  assertEquals(sizes(0), [4096, 4096]);
  assertEquals(sizes(0x201000, 2 * 1024 ** 2), [2 * 1024 ** 2, 4096]);
  assertThrows(() => sizes(0x10000), IncompatibleError, '"rom" of 12288 bytes is not whole pages');
  assertThrows(() => sizes(0x801000, 8 * 1024 ** 2), IncompatibleError, "pages of 8388608 bytes");
  const { ram } = { ram: withSourcePages(own, BLOCKS, 0x1000) };
  ram.blocks[0]!.received.add(5);
  assertEquals(own.blocks[0]!.received.has(5), true);
});

import { assertEquals, assertThrows } from "@std/assert";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { MEMORY_MAX } from "../../src/machine/ram_block.ts";

const PAGE = 4096;

Deno.test("RamBlock of more than 4 GiB is several segments, and views end where they do", () => {
  // Untouched memory costs nothing.
  const [block] = GuestRam.create([{ name: "big", length: MEMORY_MAX + 2 * PAGE }]).blocks;
  assertEquals(block!.segments.map(({ offset, length }) => [offset, length]), [
    [0, MEMORY_MAX],
    [MEMORY_MAX, 2 * PAGE],
  ]);
  assertEquals(block!.pageCount, MEMORY_MAX / PAGE + 2);
  assertEquals(block!.view(MEMORY_MAX - PAGE, 3 * PAGE).length, PAGE);
  block!.view(MEMORY_MAX + PAGE, 1)[0] = 7;
  assertEquals(new Uint8Array(block!.segments[1]!.memory.buffer)[PAGE], 7);
});

Deno.test("RamBlock refuses offsets outside", () => {
  const [block] = GuestRam.create([{ name: "heap", length: PAGE }]).blocks;
  for (const offset of [-1, PAGE, NaN]) {
    assertThrows(() => block!.view(offset, 1), RangeError, "is outside block heap of 4096 bytes");
  }
});

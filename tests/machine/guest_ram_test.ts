import { assert, assertEquals, assertThrows } from "@std/assert";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { BITMAP_KINDS, WASM_PAGE } from "../../src/machine/ram_block.ts";

const PAGE = 4096;

Deno.test("GuestRam.create() gives every block its own bytes and bitmaps, packed or not", () => {
  for (const packed of [false, true]) {
    const specs = [3 * PAGE, 0, WASM_PAGE, 5 * PAGE].map((length, i) => ({
      name: `block${i}`,
      length,
    }));
    const ram = GuestRam.create(specs, { packed });
    assertEquals(ram.length, 8 * PAGE + WASM_PAGE);
    assertEquals(ram.memories.length, packed ? 1 : 4);
    for (const block of ram.blocks) {
      if (block.length > 0) block.view(0, block.length).fill(block.index + 1);
      for (const kind of BITMAP_KINDS) block[kind].fill(0, block.pageCount, true);
    }
    for (const block of ram.blocks) {
      for (const kind of BITMAP_KINDS) assertEquals(block[kind].count(), block.pageCount);
      if (block.length === 0) continue;
      assertEquals(block.view(0, block.length).findIndex((byte) => byte !== block.index + 1), -1);
    }
    ram.blocks[0]!.dirty.fill(0, 3, false);
    assertEquals(ram.blocks.map((block) => block.dirty.count()), [0, 0, 16, 5]);
    assertEquals(ram.block("block3")?.index, 3);
    assertEquals(ram.block("block4"), undefined);
  }
});

Deno.test("GuestRam is the same RAM when its layout is opened again", () => {
  const ram = GuestRam.create([{ name: "heap", length: 2 * PAGE }]);
  const again = new GuestRam(ram.layout);
  again.blocks[0]!.view(PAGE, 1)[0] = 9;
  again.blocks[0]!.received.add(1);
  assertEquals(ram.blocks[0]!.view(PAGE, 1)[0], 9);
  assert(ram.blocks[0]!.received.has(1));
});

Deno.test("GuestRam.create() adopts a shared memory that is large enough", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
  const ram = GuestRam.create([{ name: "heap", length: WASM_PAGE, memory }]);
  assertEquals(ram.memories, [memory]);
  assertEquals(ram.blocks[0]!.untouched.count(), 0, "what its owner wrote is not known");
  const refusals = [
    [{ name: "heap", length: 2 * WASM_PAGE, memory }, "65536 bytes, not 131072"],
    [{ name: "heap", length: PAGE, memory: new WebAssembly.Memory({ initial: 1 }) }, "not shared"],
    [{ name: "heap", length: PAGE + 1 }, "not whole pages"],
    [{ name: "heap", length: -PAGE }, "not whole pages"],
    [{ name: "heap", length: NaN }, "not whole pages"],
  ] as const;
  for (const [spec, words] of refusals) {
    assertThrows(() => GuestRam.create([spec]), RangeError, words);
  }
  const twice = { name: "heap", length: PAGE };
  assertThrows(() => GuestRam.create([twice, twice]), RangeError, 'called "heap"');
});

Deno.test("GuestRam.create() refuses at once what no memory holds the bitmaps of", () => {
  for (const packed of [false, true]) {
    assertThrows(
      () => GuestRam.create([{ name: "heap", length: 2 ** 52 }], { packed }),
      RangeError,
      "too many pages",
    );
  }
});

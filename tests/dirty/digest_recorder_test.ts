import { assertEquals, assertThrows } from "@std/assert";
import { DigestRecorder } from "../../src/dirty/digest_recorder.ts";
import { DIGEST_BYTES, DigestTable } from "../../src/dirty/digest_table.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";

const PAGE = 4096;

function sharedMemory(): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
}

/** A recorder over RAM whose bytes are all different from place to place. */
function recorderOf(ram: GuestRam) {
  for (const block of ram.blocks) {
    for (let page = 0; page < block.pageCount; page++) {
      const bytes = block.view(page * PAGE, PAGE);
      for (let i = 0; i < PAGE; i++) bytes[i] = block.index * 83 + page * 7 + i;
    }
  }
  const table = DigestTable.create(ram);
  const staging = sharedMemory();
  const recorder = new DigestRecorder(ram, table.layout, staging);
  return {
    recorder,
    staged: (at: number) => new Uint8Array(staging.buffer).slice(at, at + PAGE),
    digest: (block: number, page: number) =>
      new Uint8Array(table.memory.buffer).slice(
        table.offset(block, page),
        table.offset(block, page) + DIGEST_BYTES,
      ).toHex(),
  };
}

const NONE = "00".repeat(DIGEST_BYTES);

/** A block of three pages in two memories, the second part not at its memory's start. */
function splitRam(): GuestRam {
  const { layout } = GuestRam.create([{ name: "ram", length: 3 * PAGE }]);
  const segments = [
    { memory: sharedMemory(), base: 0, offset: 0, length: 2 * PAGE },
    { memory: sharedMemory(), base: 5 * PAGE, offset: 2 * PAGE, length: PAGE },
  ];
  return new GuestRam({ ...layout, blocks: [{ ...layout.blocks[0]!, segments }] });
}

const LAYOUTS: Readonly<Record<string, () => GuestRam>> = {
  "blocks apart": () =>
    GuestRam.create([{ name: "a", length: PAGE }, { name: "b", length: 2 * PAGE }]),
  "blocks in one memory": () =>
    GuestRam.create([{ name: "a", length: PAGE }, { name: "b", length: 2 * PAGE }], {
      packed: true,
    }),
  "a block in two memories": splitRam,
};

for (const [name, make] of Object.entries(LAYOUTS)) {
  Deno.test(`DigestRecorder.take() copies the page it was told and notes its digest alone: ${name}`, () => {
    const ram = make();
    const { recorder, staged, digest } = recorderOf(ram);
    const pages = ram.blocks.flatMap(({ index, pageCount }) =>
      Array.from({ length: pageCount }, (_, page) => [index, page] as const)
    );
    const seen = new Set<string>();
    for (const [block, page] of pages) {
      assertEquals(digest(block, page), NONE);
      recorder.take(block, page, 8192);
      assertEquals(staged(8192), Uint8Array.from(ram.blocks[block]!.view(page * PAGE, PAGE)));
      seen.add(digest(block, page));
    }
    assertEquals(seen.size, pages.length);
    assertEquals(seen.has(NONE), false);
    assertEquals(staged(8192 - PAGE), new Uint8Array(PAGE), "nothing beside the copy");
    assertEquals(staged(8192 + PAGE), new Uint8Array(PAGE), "nothing beside the copy");
  });
}

Deno.test("DigestRecorder.take() notes the digest of what the page holds now", () => {
  const ram = GuestRam.create([{ name: "ram", length: PAGE }]);
  const { recorder, digest } = recorderOf(ram);
  const take = () => {
    recorder.take(0, 0, 0);
    return digest(0, 0);
  };
  const before = take();
  ram.blocks[0]!.view(100, 1)[0]! ^= 1;
  const changed = take();
  assertEquals(changed === before, false);
  ram.blocks[0]!.view(100, 1)[0]! ^= 1;
  assertEquals(take(), before);
});

Deno.test("DigestRecorder.take() refuses pages that are not there", () => {
  const { recorder, staged } = recorderOf(splitRam());
  for (const [block, page] of [[1, 0], [-1, 0], [0, 3], [0, -1]] as const) {
    assertThrows(() => recorder.take(block, page, 0), RangeError);
  }
  assertEquals(staged(0), new Uint8Array(PAGE));
});

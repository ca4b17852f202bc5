import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { GuestRam } from "../../../src/machine/guest_ram.ts";
import { digestBlocks } from "../../../src/machine/verify/digest_blocks.ts";

const PAGE = 4096;

function ramOf(pages: number, pageSize = PAGE): GuestRam {
  const ram = GuestRam.create([
    { name: "a", length: pages * pageSize },
    { name: "b", length: 2 * pageSize },
  ], { pageSize });
  const bytes = ram.blocks[0]!.view(0, ram.blocks[0]!.length);
  bytes.forEach((_, i) => bytes[i] = Math.imul(i + 1, 0x9e3779b1) >>> 13);
  return ram;
}

Deno.test("digestBlocks() is the same for the same bytes and only for them", () => {
  const ram = ramOf(4);
  const digests = digestBlocks(ram);
  assertEquals(digests.map(({ block }) => block), ["a", "b"]);
  assert(digests.every(({ digest }) => /^[0-9a-f]{16}$/.test(digest)));
  assertEquals(digestBlocks(ramOf(4)), digests);

  const bytes = ram.blocks[0]!.view(0, 4 * PAGE);
  const seen = new Set([digests[0]!.digest]);
  for (let at = 0; at < bytes.length; at += 13) {
    for (const bit of [1, 0x80]) {
      bytes[at]! ^= bit;
      const [a, b] = digestBlocks(ram);
      seen.add(a!.digest);
      assertEquals(b, digests[1]);
      bytes[at]! ^= bit;
    }
  }
  assertEquals(seen.size, 1 + 2 * Math.ceil(bytes.length / 13));
  assertEquals(digestBlocks(ram), digests);
});

Deno.test("digestBlocks() sees pages, stripes and words that change places", () => {
  const ram = ramOf(4);
  const bytes = ram.blocks[0]!.view(0, 4 * PAGE);
  const [before] = digestBlocks(ram);
  for (const length of [4, 8, 16, 64, PAGE]) {
    const [a, b] = [bytes.slice(0, length), bytes.slice(length, 2 * length)];
    bytes.set(b, 0);
    bytes.set(a, length);
    assertNotEquals(digestBlocks(ram)[0], before, `${length} bytes`);
    bytes.set(a, 0);
    bytes.set(b, length);
  }
});

Deno.test("digestBlocks() tells zeros of another length, and takes pages of any size", () => {
  const digests = [1, 2, 3].map((pages) =>
    digestBlocks(GuestRam.create([{ name: "a", length: pages * PAGE }]))[0]!.digest
  );
  assertEquals(new Set(digests).size, 3);
  for (const pageSize of [1024, 65536]) assertEquals(digestBlocks(ramOf(3, pageSize)).length, 2);
});

Deno.test("digestBlocks() does not depend on how blocks lie in memories", () => {
  const specs = [{ name: "a", length: 3 * PAGE }, { name: "b", length: 5 * PAGE }];
  const [apart, packed] = [false, true].map((packed) => {
    const ram = GuestRam.create(specs, { packed });
    for (const block of ram.blocks) {
      block.view(0, block.length).forEach((_, i, bytes) => bytes[i] = i);
    }
    return digestBlocks(ram);
  });
  assertEquals(apart, packed);
});

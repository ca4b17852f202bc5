import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { DIGEST_BYTES, DigestTable } from "../../src/dirty/digest_table.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";

Deno.test("DigestTable.create() gives each page of each block a place of its own", () => {
  for (const pageSize of [1024, 4096, 65536]) {
    const ram = GuestRam.create(
      [3, 1, 70].map((pages, i) => ({ name: `ram${i}`, length: pages * pageSize })),
      { pageSize, packed: true },
    );
    const table = DigestTable.create(ram);
    const places = ram.blocks.flatMap(({ index, pageCount }) =>
      Array.from({ length: pageCount }, (_, page) => table.offset(index, page))
    );
    assertEquals(new Set(places).size, 74);
    // After the digest of zeros and the key, before the end, and where 64-bit atomics may go.
    assertEquals(places.every((at) => at >= 64 + pageSize + 32 && at % 16 === 0), true);
    assertEquals(Math.max(...places) + DIGEST_BYTES <= table.memory.buffer.byteLength, true);
  }
});

Deno.test("DigestTable.create() takes another key each time", () => {
  const ram = GuestRam.create([{ name: "ram", length: 4096 }]);
  const [one, two] = [DigestTable.create(ram), DigestTable.create(ram)];
  const key = (table: DigestTable) => new Uint8Array(table.memory.buffer).slice(64, 64 + 4096 + 32);
  assertNotEquals(key(one), key(two));
  for (const bytes of [key(one).subarray(0, 32), key(one).subarray(-32)]) {
    assertNotEquals(bytes, new Uint8Array(32), "all of the key is random");
  }
});

Deno.test("DigestTable.clear() forgets digests and keeps the key and the digest of zeros", () => {
  const ram = GuestRam.create([{ name: "ram", length: 4096 * 2 }]);
  const table = DigestTable.create(ram);
  const head = new Uint8Array(table.memory.buffer).slice(0, table.offset(0, 0));
  new Uint8Array(table.memory.buffer, table.offset(0, 0)).fill(1);
  table.clear();
  assertEquals(new Uint8Array(table.memory.buffer).slice(0, head.length), head);
  assertEquals(new Uint8Array(table.memory.buffer, head.length).some((byte) => byte !== 0), false);
});

Deno.test("DigestTable.create() refuses more pages than a memory holds digests of", () => {
  const ram = { pageSize: 1024, length: 2 ** 39, blocks: [{ pageCount: 2 ** 29 }] };
  assertThrows(() => DigestTable.create(ram as unknown as GuestRam), RangeError, "too many pages");
});

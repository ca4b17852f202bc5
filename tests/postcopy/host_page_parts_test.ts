import { assert, assertEquals, assertFalse } from "@std/assert";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import type { RamBlock } from "../../src/machine/ram_block.ts";
import { HostPageParts } from "../../src/postcopy/host_page_parts.ts";
import type { PageStore } from "../../src/postcopy/page_store.ts";
import { MemorySource } from "../../src/wire/byte_source.ts";

const PART = 1024;
const PARTS = 4;

function setUp() {
  const specs = [{ name: "a", length: 4 * 4096 }, { name: "b", length: 4096 + 2048 }];
  const ram = GuestRam.create(specs, { pageSize: PART });
  const placed: string[] = [];
  const store: PageStore = {
    place(block: RamBlock, page: number, source: WebAssembly.Memory, at: number) {
      const bytes = new Uint8Array(source.buffer, at, 4096);
      const parts = Array.from({ length: PARTS }, (_, i) => bytes[i * PART]);
      placed.push(`${block.name} ${page}: ${parts}`);
    },
    placeZeros(block, page) {
      placed.push(`${block.name} ${page}: zeros`);
    },
  };
  const parts = new HostPageParts(PART, store);
  const add = (name: "a" | "b", page: number, fill?: number) => {
    const block = ram.blocks[name === "a" ? 0 : 1]!;
    if (fill === undefined) return parts.add(block, page * PART);
    const body = new Uint8Array(3 + PART).fill(fill, 3);
    return parts.add(block, page * PART, new MemorySource(body), 3);
  };
  return { ram, placed, add };
}

Deno.test("HostPageParts places a page of the host with its last part", () => {
  const { placed, add } = setUp();
  for (const i of [2, 0, 3]) assert(add("a", i, i + 1));
  assertEquals(placed, []);
  add("a", 1, 2);
  assertEquals(placed, ["a 0: 1,2,3,4"]);
});

Deno.test("HostPageParts places zeros when all parts are zeros, and only then", () => {
  const { placed, add } = setUp();
  for (let i = 0; i < PARTS; i++) add("a", i, 9);
  for (let i = 0; i < PARTS; i++) add("a", 4 + i);
  for (let i = 0; i < PARTS; i++) add("a", 8 + i, i === 2 ? 5 : undefined);
  assertEquals(placed, ["a 0: 9,9,9,9", "a 4: zeros", "a 8: 0,0,5,0"]);
});

Deno.test("HostPageParts waits for a part that has come twice no less than for one that has not come", () => {
  const { placed, add } = setUp();
  for (const i of [0, 0, 1, 2]) add("a", i, i + 1);
  assertEquals(placed, []);
});

Deno.test("HostPageParts keeps what came of a page of the host of which a QEMU sends the beginning later", () => {
  const { placed, add } = setUp();
  for (const i of [1, 2, 3]) assert(add("a", i, i + 1));
  for (const i of [4, 5, 6, 7]) assert(add("a", i, i + 1));
  for (const i of [8, 9, 10, 11]) assert(add("a", i, i + 1));
  assertEquals(placed, ["a 4: 5,6,7,8", "a 8: 9,10,11,12"]);
  assert(add("a", 0, 1));
  assertEquals(placed.slice(2), ["a 0: 1,2,3,4"]);
});

Deno.test("HostPageParts has no room for a third page of the host until one of two is complete", () => {
  const { placed, add } = setUp();
  assert(add("a", 0, 1));
  assert(add("b", 0, 1));
  assertFalse(add("a", 4, 1));
  for (const i of [1, 2, 3]) assert(add("b", i, 1));
  assert(add("a", 4, 1));
  assertFalse(add("b", 4, 1));
  assertEquals(placed, ["b 0: 1,1,1,1"]);
});

Deno.test("HostPageParts knows that the last page of a block may be shorter", () => {
  const { placed, add } = setUp();
  add("b", 4);
  add("b", 5);
  assertEquals(placed, ["b 4: zeros"]);
});

Deno.test("HostPageParts passes over a page of the host that is there", () => {
  const { ram, placed, add } = setUp();
  ram.blocks[0]!.received.fill(0, PARTS, true);
  for (let i = 0; i < PARTS; i++) assert(add("a", i, 7));
  assertEquals(placed, []);
});

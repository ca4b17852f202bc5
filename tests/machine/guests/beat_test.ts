import { assertEquals } from "@std/assert";
import { GuestChecks } from "../../../src/machine/guest_checks.ts";
import { GuestRam } from "../../../src/machine/guest_ram.ts";
import { beatParts } from "../../../src/machine/guests/beat.ts";
import { blockTag } from "../../../src/machine/guests/part.ts";

const PAGE = 4096;

function machine(pages: readonly number[], vcpu = 0, vcpus = 1) {
  const ram = GuestRam.create(
    pages.map((count, i) => ({ name: `block${i}`, length: count * PAGE })),
  );
  const parts = beatParts(ram, vcpu, vcpus, new GuestChecks(PAGE));
  const words = (block: number, page: number) =>
    new Uint32Array(Uint8Array.from(ram.blocks[block]!.view(page * PAGE, PAGE)).buffer);
  return { ram, parts, words };
}

/** A page as `beat.wat` draws it. */
function pageOf(block: string, page: number, count: number): Uint32Array {
  const tag = blockTag(block);
  return Uint32Array.from({ length: PAGE / 4 }, (_, i) => i === 0 ? count : i % 2 ? page : tag);
}

Deno.test("A beat counts in a page's first word, behind which the page says which one it is", () => {
  const { parts: [, part], words } = machine([1, 3]);
  assertEquals(part!.exports.step(2), 2);
  assertEquals(words(1, 0), pageOf("block1", 0, 1));
  assertEquals(words(1, 1), pageOf("block1", 1, 1));
  assertEquals(words(1, 2), new Uint32Array(PAGE / 4));
  assertEquals(words(0, 0), new Uint32Array(PAGE / 4), "the other part has its own cursor");
});

Deno.test("A step ends where the sweep ends, and the next sweep counts on", () => {
  const { parts: [part], words } = machine([5]);
  const { step, cursor, sweep, expected } = part!.exports;
  assertEquals([step(3), step(3), step(3)], [3, 2, 3]);
  assertEquals([sweep.value, cursor.value], [1, 3]);
  assertEquals([0, 1, 2, 3, 4].map((page) => words(0, page)[0]), [2, 2, 2, 1, 1]);
  assertEquals([0, 1, 2, 3, 4].map(expected), [2, 2, 2, 1, 1]);
});

Deno.test("vCPUs beat in pages of their own, which are numbered in the block", () => {
  const { parts: [part], words } = machine([6], 1, 2);
  assertEquals(part!.exports.step(64), 3);
  assertEquals(
    [0, 2, 3, 5].map((page) => words(0, page)),
    [
      new Uint32Array(PAGE / 4),
      new Uint32Array(PAGE / 4),
      pageOf("block0", 3, 1),
      pageOf("block0", 5, 1),
    ],
  );
});

Deno.test("check() finds the first of the pages it is told that is not as the cursor says", () => {
  const { ram, parts: [part] } = machine([5]);
  const { step, check } = part!.exports;
  step(3);
  assertEquals(check(0, 5), 5);
  ram.blocks[0]!.view(3 * PAGE + 4095, 1)[0] = 1;
  assertEquals([check(0, 5), check(0, 3), check(3, 1), check(4, 1)], [3, 3, 3, 5]);
});

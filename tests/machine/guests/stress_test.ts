import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { GuestChecks } from "../../../src/machine/guest_checks.ts";
import { GuestRam } from "../../../src/machine/guest_ram.ts";
import { parseGuestSpec, type StressSpec } from "../../../src/machine/guest_spec.ts";
import { stressParts } from "../../../src/machine/guests/stress.ts";

const PAGE = 4096;

function machine(text: string, pages: readonly number[] = [40]) {
  const ram = GuestRam.create(
    pages.map((count, i) => ({ name: `block${i}`, length: count * PAGE })),
  );
  const spec = parseGuestSpec(text) as StressSpec;
  const parts = stressParts(ram, 0, 1, new GuestChecks(PAGE), spec);
  const page = (number: number, block = 0) =>
    Uint8Array.from(ram.blocks[block]!.view(number * PAGE, PAGE));
  return { ram, page, parts, exports: parts[0]!.exports };
}

/** The pages of the first sweep, in the order they are written. */
function orderOf(text: string, pages: number): number[] {
  const { exports, ram } = machine(text, [pages]);
  // No random word is zero.
  const isWritten = (page: number) => ram.blocks[0]!.view(page * PAGE, 4).some(Boolean);
  const order: number[] = [];
  const left = new Set(Array.from({ length: pages }, (_, i) => i));
  while (left.size > 0) {
    exports.step(1);
    for (const number of left) {
      if (isWritten(number) && left.delete(number)) order.push(number);
    }
  }
  return order;
}

Deno.test("stress writes every page once a sweep, whatever the number of pages", () => {
  for (let pages = 1; pages <= 40; pages++) {
    const order = orderOf("stress,random=100", pages);
    assertEquals(order.toSorted((a, b) => a - b), order.map((_, i) => i), `${pages} pages`);
  }
  assertEquals(orderOf("stress,random=100,order=sequential", 9), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

Deno.test("Scattered pages have their neighbours far away in time", () => {
  const order = orderOf("stress,random=100", 100);
  for (let i = 1; i < order.length; i++) assert(Math.abs(order[i]! - order[i - 1]!) > 20);
});

Deno.test("expected() knows each page's generation, in any order", () => {
  for (const order of ["scattered", "sequential"]) {
    const { exports, page } = machine(`stress,random=100,order=${order}`);
    exports.step(40);
    const before = Array.from({ length: 40 }, (_, i) => page(i));
    exports.step(13);
    for (let i = 0; i < 40; i++) {
      const isWritten = page(i).some((byte, at) => byte !== before[i]![at]);
      assertEquals(exports.expected(i), isWritten ? 2 : 1, `${order} ${i}`);
    }
  }
});

Deno.test("make() and same() are what a page holds, and nothing like any other", () => {
  const { exports, page } = machine("stress,zero=0,text=50,random=50");
  exports.step(40);
  const made = new Uint8Array(exports.own.buffer);
  for (let number = 0; number < 40; number++) {
    exports.make(number, 1);
    assertEquals(made.slice(0, PAGE), page(number));
    assertEquals(exports.same(number), 1);
    assertEquals(exports.same((number + 1) % 40), 0);
    exports.make(number, 2);
    assertEquals(exports.same(number), 0);
  }
});

Deno.test("Content follows from seed and block: the same again, and other content for others", () => {
  const content = (text: string, block: number) => {
    const { parts, page } = machine(text, [3, 3]);
    parts[block]!.exports.step(3);
    return page(1, block);
  };
  assertEquals(content("stress,random=100,seed=7", 0), content("stress,random=100,seed=7", 0));
  assertNotEquals(content("stress,random=100,seed=7", 0), content("stress,random=100,seed=8", 0));
  assertNotEquals(content("stress,random=100,seed=7", 0), content("stress,random=100,seed=7", 1));
});

Deno.test("With one-word writes a later generation differs from the first in eight bytes", () => {
  const { exports, page } = machine("stress,random=100,write=word");
  exports.step(40);
  const first = Array.from({ length: 40 }, (_, i) => page(i));
  for (const generation of [2, 3]) {
    exports.step(40);
    for (let i = 0; i < 40; i++) {
      const now = page(i);
      const changed = [...now.keys()].filter((at) => now[at] !== first[i]![at]);
      const word = Math.floor(changed[0]! / 8);
      assert(changed.length > 0 && changed.every((at) => Math.floor(at / 8) === word));
      exports.make(i, generation);
      assertEquals(exports.same(i), 1);
    }
  }
});

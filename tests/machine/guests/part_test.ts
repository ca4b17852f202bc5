import { assert, assertEquals, assertThrows } from "@std/assert";
import { GuestChecks } from "../../../src/machine/guest_checks.ts";
import { GuestRam } from "../../../src/machine/guest_ram.ts";
import { blockTag, checkImports, sharesOf } from "../../../src/machine/guests/part.ts";

const PAGE = 4096;

/** A block of three pages in two memories, none of it at a memory's start. */
function splitRam(): GuestRam {
  const { layout } = GuestRam.create([{ name: "heap", length: 3 * PAGE }]);
  const [one, two] = [1, 1].map(() =>
    new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
  );
  const segments = [
    { memory: one!, base: PAGE, offset: 0, length: 2 * PAGE },
    { memory: two!, base: 8 * PAGE, offset: 2 * PAGE, length: PAGE },
  ];
  return new GuestRam({ ...layout, blocks: [{ ...layout.blocks[0]!, segments }] });
}

Deno.test("sharesOf() gives each page to exactly one vCPU", () => {
  const apart = GuestRam.create([1, 7, 0, 50].map((pages, i) => ({
    name: `block${i}`,
    length: pages * PAGE,
  })));
  for (const ram of [apart, splitRam()]) {
    for (const vcpus of [1, 2, 3, 8, 64]) {
      const seen: string[] = [];
      for (let vcpu = 0; vcpu < vcpus; vcpu++) {
        for (const { block, firstPage, pages } of sharesOf(ram, vcpu, vcpus)) {
          assert(pages > 0, "no empty shares");
          for (let i = 0; i < pages; i++) seen.push(`${block.name}/${firstPage + i}`);
        }
      }
      assertEquals(seen.length, ram.length / PAGE);
      assertEquals(new Set(seen).size, seen.length);
    }
  }
});

Deno.test("sharesOf() gives vCPUs as many pages, give or take one", () => {
  const ram = GuestRam.create([{ name: "heap", length: 100 * PAGE }]);
  const counts = [0, 1, 2].map((vcpu) => sharesOf(ram, vcpu, 3)[0]!.pages);
  assertEquals(counts.toSorted(), [33, 33, 34]);
});

Deno.test("sharesOf() says where a share's pages lie in its memory", () => {
  const ram = splitRam();
  for (const vcpu of [0, 1]) {
    for (const { block, segment, address, firstPage, pages } of sharesOf(ram, vcpu, 2)) {
      for (let page = 0; page < pages; page++) {
        block.view((firstPage + page) * PAGE, 1)[0] = 77;
        const bytes = new Uint8Array(segment.memory.buffer);
        assertEquals(bytes[address + page * PAGE], 77);
        bytes[address + page * PAGE] = 0;
      }
    }
  }
});

Deno.test("checkImports() turns addresses in a memory into places in the block", () => {
  const ram = splitRam();
  const [block] = ram.blocks;
  const checks = new GuestChecks(PAGE);
  const asked: [offset: number, length: number][] = [];
  checks.marks = checks.presence = true;
  checks.waitForPages = (_, offset, length) => void asked.push([offset, length]);
  const [first, second] = block!.segments.map((segment) => checkImports(block!, segment, checks));
  first!.mark(2 * PAGE + 5, 1);
  second!.mark(8 * PAGE, PAGE);
  assertEquals([0, 1, 2].map((page) => block!.barrier.has(page)), [false, true, true]);
  first!.ensure(PAGE, 10);
  second!.ensure(8 * PAGE + 3, 20);
  assertEquals(asked, [[0, 10], [2 * PAGE + 3, 20]]);
});

Deno.test("checkImports() takes addresses as WebAssembly gives them: from 2 GiB on they are negative", () => {
  const { layout } = GuestRam.create([{ name: "heap", length: 3 * 1024 ** 3 }]);
  const [block] = new GuestRam(layout).blocks;
  const checks = new GuestChecks(PAGE);
  checks.marks = true;
  checkImports(block!, block!.segments[0]!, checks).mark((2 ** 31 + PAGE) | 0, 1);
  assertEquals(block!.barrier.next(0), 2 ** 31 / PAGE + 1);
});

Deno.test("checkImports() refuses marks outside of the block", () => {
  const [block] = splitRam().blocks;
  const checks = new GuestChecks(PAGE);
  checks.marks = true;
  const { mark } = checkImports(block!, block!.segments[0]!, checks);
  for (const address of [0, PAGE - 1, 5 * PAGE]) {
    assertThrows(() => mark(address, 1), RangeError);
  }
  assertEquals(block!.barrier.count(), 0);
});

Deno.test("blockTag() tells names apart in 32 bits", () => {
  const tags = ["", "a", "b", "ab", "ba", "pc.ram", "pc.rom", "é"].map(blockTag);
  assertEquals(new Set(tags).size, tags.length);
  assert(tags.every((tag) => Number.isInteger(tag) && tag >= 0 && tag < 2 ** 32));
  // The published value of FNV-1a for one letter: both sides of a migration must agree on it.
  assertEquals(blockTag("a"), 0xe40c292c);
});

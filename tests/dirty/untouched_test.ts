import "../support/load_libc.ts";
import { assertEquals } from "@std/assert";
import { markUntouched } from "../../src/dirty/untouched.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { probeHost } from "../../src/os/probe.ts";

const ignore = probeHost().pageContent !== undefined;

Deno.test({
  name: "markUntouched() tells pages that were written from those that were read or let alone",
  ignore,
  fn() {
    const ram = GuestRam.create([{ name: "ram", length: 4096 * 100 }]);
    const block = ram.blocks[0]!;
    for (const page of [0, 40, 41, 99]) block.view(page * 4096, 1)[0] = 1;
    assertEquals(block.view(50 * 4096, 1)[0], 0);
    assertEquals(markUntouched(ram), true);
    const touched = [];
    for (let page = 0; page < 100; page++) if (!block.untouched.has(page)) touched.push(page);
    assertEquals(touched, [0, 40, 41, 99]);
    block.view(70 * 4096, 1)[0] = 1;
    markUntouched(ram);
    assertEquals([block.untouched.count(), block.untouched.has(70)], [95, false]);
  },
});

Deno.test({
  name: "markUntouched() counts a page written with zeros as touched",
  ignore,
  fn() {
    const ram = GuestRam.create([{ name: "ram", length: 4096 * 10 }]);
    ram.blocks[0]!.view(4096, 1)[0] = 0;
    markUntouched(ram);
    assertEquals(ram.blocks[0]!.untouched.words[0], 0b1111111101);
  },
});

Deno.test({
  name: "markUntouched() takes a target page as touched if any part of it is",
  ignore,
  fn() {
    const ram = GuestRam.create(
      [{ name: "a", length: 65536 * 3 }, { name: "b", length: 65536 * 3 }],
      { pageSize: 65536, packed: true },
    );
    const [a, b] = ram.blocks;
    a!.view(65536 * 2 - 1, 1)[0] = 1;
    b!.view(0, 1)[0] = 1;
    markUntouched(ram);
    assertEquals([a!.untouched.words[0], b!.untouched.words[0]], [0b101, 0b110]);
  },
});

Deno.test({
  name: "markUntouched() takes all target pages of a touched host page as touched",
  ignore,
  fn() {
    const ram = GuestRam.create(
      [{ name: "a", length: 1024 * 9 }, { name: "b", length: 1024 * 3 }],
      { pageSize: 1024, packed: true },
    );
    const [a, b] = ram.blocks;
    a!.view(1024 * 5, 1)[0] = 1;
    markUntouched(ram);
    assertEquals([a!.untouched.words[0], b!.untouched.words[0]], [0b100001111, 0b111]);
  },
});

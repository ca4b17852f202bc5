import { assertEquals } from "@std/assert";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { Presence } from "../../src/machine/presence.ts";
import { MissingRam } from "../../src/postcopy/missing_ram.ts";
import { FaultedPages } from "../../src/postcopy/faulted_pages.ts";
import { KINDS } from "./fixtures/missing.ts";

Deno.test({
  name: "MissingRam keeps what has come, and nothing of what has not",
  ignore: !KINDS.includes("userfaultfd"),
  fn() {
    const ram = GuestRam.create([{ name: "ram", length: 32 * 4096 }]);
    const [block] = ram.blocks;
    for (let page = 0; page < 32; page++) block!.view(page * 4096, 4096).fill(page + 1);
    for (const page of [0, 5, 6, 31]) block!.received.add(page);
    block!.requested.add(9);
    const missing = MissingRam.create(ram, Presence.create(1), "userfaultfd");
    assertEquals([missing.kind, missing.description], ["userfaultfd", "userfaultfd"]);
    assertEquals(block!.requested.count(), 0);
    assertEquals([0, 5, 6, 31].map((page) => block!.view(page * 4096, 1)[0]), [1, 6, 7, 32]);
    // What the kernel takes is missing, and what it does not take is there.
    const store = new FaultedPages(missing.layout, missing.layout.userfaultfd!);
    for (let page = 0; page < 32; page++) store.placeZeros(block!, page);
    for (let page = 0; page < 32; page++) {
      const kept = [0, 5, 6, 31].includes(page);
      assertEquals(block!.view(page * 4096, 1)[0], kept ? page + 1 : 0, `page ${page}`);
    }
    missing[Symbol.dispose]();
    missing[Symbol.dispose]();
  },
});

Deno.test({
  name: "MissingRam: afterwards nothing is watched, and RAM can be watched again",
  ignore: !KINDS.includes("userfaultfd"),
  fn() {
    const ram = GuestRam.create([{ name: "ram", length: 4 * 4096 }]);
    for (let times = 0; times < 2; times++) {
      const missing = MissingRam.create(ram, Presence.create(1), "userfaultfd");
      missing[Symbol.dispose]();
      assertEquals(ram.blocks[0]!.view(0, 1)[0], 0);
    }
  },
});

Deno.test("MissingRam says why the kernel does not watch", () => {
  const ram = GuestRam.create([{ name: "ram", length: 4096 }]);
  using asked = MissingRam.create(ram, Presence.create(1), "checks");
  assertEquals([asked.kind, asked.layout.userfaultfd], ["checks", undefined]);
  assertEquals(asked.description, "checks: the user wants checks");
  using unused = MissingRam.create(ram, undefined);
  assertEquals(unused.description, "checks: no guest runs");
});

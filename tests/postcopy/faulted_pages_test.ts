import { assertEquals, assertThrows } from "@std/assert";
import { MigrationError } from "../../src/errors.ts";
import { FaultedPages } from "../../src/postcopy/faulted_pages.ts";
import { KINDS, Missing } from "./fixtures/missing.ts";
import { testStore } from "./fixtures/store_tests.ts";

const open = ({ missing: { layout } }: Missing) => new FaultedPages(layout, layout.userfaultfd!);

testStore("FaultedPages", "userfaultfd", open);

Deno.test({
  name: "FaultedPages says what the kernel does not take",
  ignore: !KINDS.includes("userfaultfd"),
  fn() {
    using missing = new Missing("userfaultfd");
    const store = open(missing);
    missing.missing[Symbol.dispose]();
    const [ram] = missing.ram.blocks;
    const error = assertThrows(() => store.placeZeros(ram!, 2), MigrationError);
    assertEquals(error.message.includes('0x2000 of RAM block "ram"'), true, error.message);
    assertEquals(ram!.received.count(), 0);
  },
});

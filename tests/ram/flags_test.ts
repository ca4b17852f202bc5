import { assertEquals } from "@std/assert";
import { describeRamFlags, RAM_FLAGS_MASK, RamFlag } from "../../src/ram/flags.ts";

Deno.test("describeRamFlags() names what a record's header says", () => {
  assertEquals(describeRamFlags(RamFlag.PAGE | RamFlag.CONTINUE), "PAGE|CONTINUE (0x28)");
  assertEquals(describeRamFlags(RamFlag.MULTIFD_FLUSH), "MULTIFD_FLUSH (0x200)");
  assertEquals(describeRamFlags(0), "no flag (0x0)");
  assertEquals(describeRamFlags(1), "no flag (0x1)");
});

Deno.test("RAM_FLAGS_MASK has room for every flag and none outside of the smallest page", () => {
  for (const flag of Object.values(RamFlag)) assertEquals(flag & RAM_FLAGS_MASK, flag);
  assertEquals(RAM_FLAGS_MASK, 1023);
});

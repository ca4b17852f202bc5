import { assertEquals } from "@std/assert";
import { dialectOf, MODERN_DIALECT } from "../../src/multifd/dialect.ts";

const CASES = [
  ["pc-i440fx-2.9", true, false],
  ["pc-i440fx-7.2", true, false],
  ["pc-q35-8.0", true, false],
  ["pc-q35-8.1", false, false],
  ["pc-q35-8.2", false, false],
  ["pc-q35-9.0", false, true],
  ["pc-q35-10.0", false, true],
  ["pc-i440fx-10.2", false, true],
  ["microvm", false, true],
  ["none", false, true],
  ["bench", false, true],
  ["room-17", false, true],
] as const;

Deno.test("dialectOf() follows the version in a QEMU machine type's name", () => {
  for (const [machine, syncEachSection, zeroLists] of CASES) {
    assertEquals(dialectOf(machine), { syncEachSection, zeroLists }, machine);
  }
  assertEquals(dialectOf("a name of ours"), MODERN_DIALECT);
});

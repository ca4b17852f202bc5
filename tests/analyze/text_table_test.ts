import { assertEquals } from "@std/assert";
import { layOutTable, visible } from "../../src/analyze/text_table.ts";

Deno.test("layOutTable() aligns columns left or right", () => {
  const rows = [["name", "size"], ["a", "12"], ["longer", "3"]];
  assertEquals(layOutTable(rows, { left: [0] }), [
    "  name    size",
    "  a         12",
    "  longer     3",
  ]);
});

Deno.test("visible() leaves nothing that steers a terminal", () => {
  assertEquals(visible("pc.ram"), "pc.ram");
  assertEquals(visible("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\u{a}");
  assertEquals(layOutTable([["x\r"]], { left: [0] }), ["  x\\u{d}"]);
});

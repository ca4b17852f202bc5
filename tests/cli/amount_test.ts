import { assertEquals } from "@std/assert";
import { formatBytes, formatCount } from "../../src/cli/amount.ts";

Deno.test("formatBytes() shows three digits and a unit", () => {
  assertEquals(
    [0, 512, 4096, 1.5 * 1024 ** 2, 20 * 1024 ** 3, 1023 * 1024 ** 2].map(formatBytes),
    ["0 B", "512 B", "4.00 KiB", "1.50 MiB", "20.0 GiB", "1.00 GiB"],
  );
});

Deno.test("formatCount() separates thousands", () => {
  assertEquals([0, 999, 262_144].map(formatCount), ["0", "999", "262,144"]);
});

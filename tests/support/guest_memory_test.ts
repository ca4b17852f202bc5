import { assertEquals } from "@std/assert";
import { describeDifference } from "./guest_memory.ts";

Deno.test("describeDifference() names the first byte of each page that differs", () => {
  const one = new Uint8Array(8 * 4096);
  const other = one.slice();
  assertEquals(describeDifference(one, other, 0x100000), undefined);
  other[4096 + 7] = 3;
  other[4096 + 9] = 3;
  other[3 * 4096] = 1;
  assertEquals(
    describeDifference(one, other, 0x100000),
    "2 pages, first at 0x101007 (0 against 3), 0x103000 (0 against 1)",
  );
});

Deno.test("describeDifference() counts more pages than it names", () => {
  const text = describeDifference(new Uint8Array(8 * 4096), new Uint8Array(8 * 4096).fill(1), 0);
  assertEquals(text?.startsWith("8 pages, first at 0x0 (0 against 1), "), true);
  assertEquals(text?.endsWith("0x4000 (0 against 1), ..."), true);
});

Deno.test("describeDifference() sees another length", () => {
  assertEquals(describeDifference(new Uint8Array(2), new Uint8Array(3), 0), "2 bytes against 3");
});

import { assertEquals, assertThrows } from "@std/assert";
import { applyXbzrle } from "../../src/analyze/xbzrle.ts";
import { StreamFormatError } from "../../src/errors.ts";

function changed(hex: string, size = 300): number[] {
  const page = new Uint8Array(size).fill(9);
  applyXbzrle(Uint8Array.fromHex(hex.replaceAll(" ", "")), page, 0);
  return [...page];
}

Deno.test("applyXbzrle() changes what a record says and leaves the rest", () => {
  assertEquals(changed("00 01 05", 4), [5, 9, 9, 9]);
  assertEquals(changed("02 02 0102", 5), [9, 9, 1, 2, 9]);
  assertEquals(changed("01 01 07 02 01 08", 6), [9, 7, 9, 9, 8, 9]);
  assertEquals(changed("", 2), [9, 9]);
  const far = changed("ac02 01 0b", 301); // 300 = 0x2c | 0x02 << 7
  assertEquals([far[299], far[300]], [9, 11]);
});

for (
  const [what, hex] of Object.entries({
    "a run of nothing": "00 00",
    "no length of what is new": "01",
    "half a length": "80",
    "a length of three bytes": "8080 01",
    "new bytes that are missing": "00 03 0102",
    "a run behind the page": "ff7f 01 00",
    "new bytes behind the page": "03 02 0102",
  })
) {
  Deno.test(`applyXbzrle() refuses ${what}, and says where`, () => {
    const page = new Uint8Array(4);
    const bytes = Uint8Array.fromHex(hex.replaceAll(" ", ""));
    const error = assertThrows(() => applyXbzrle(bytes, page, 5000), StreamFormatError, "XBZRLE");
    assertEquals(error.place.offset! >= 5000, true);
    assertEquals([...page], [0, 0, 0, 0]);
  });
}

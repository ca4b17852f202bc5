import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/errors.ts";
import { parseSize } from "../../src/transport/size.ts";

Deno.test("parseSize() reads decimal with a suffix, and hexadecimal", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["0", 0],
    ["4096", 4096],
    ["10B", 10],
    ["1k", 1024],
    ["2M", 2 * 1024 ** 2],
    ["3g", 3 * 1024 ** 3],
    ["1T", 1024 ** 4],
    ["1P", 1024 ** 5],
    ["1.5G", 1.5 * 1024 ** 3],
    ["1.k", 1024],
    ["1.0", 1],
    ["0x1000", 4096],
    ["0XfF", 255],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
  ];
  for (const [text, size] of cases) assertEquals(parseSize(text, "size"), size, text);
});

Deno.test("parseSize() refuses what is no size", () => {
  for (
    const text of [
      "",
      " 1",
      "-1",
      "+1",
      "1.5",
      "k",
      "1kk",
      "1 k",
      "0x",
      "0x10k",
      "0xg",
      "1e3",
      "1.5x",
    ]
  ) {
    assertThrows(() => parseSize(text, "offset"), UsageError, `offset "${text}" is not a size`);
  }
  for (const text of ["9007199254740992", "1E", "0x20000000000000"]) {
    assertThrows(() => parseSize(text, "offset"), UsageError, "too large", text);
  }
});

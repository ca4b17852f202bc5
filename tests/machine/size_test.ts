import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/errors.ts";
import { parseSize } from "../../src/machine/size.ts";

Deno.test("parseSize() reads bytes and powers of 1024", () => {
  for (
    const [text, bytes] of [
      ["0", 0],
      ["4096", 4096],
      ["512M", 512 * 1024 ** 2],
      ["1g", 1024 ** 3],
      ["1.5K", 1536],
      ["64MiB", 64 * 1024 ** 2],
      ["2T", 2 * 1024 ** 4],
    ] as const
  ) assertEquals(parseSize(text, "RAM"), bytes);
});

Deno.test("parseSize() refuses what is no whole number of bytes", () => {
  for (const text of ["", "M", "-1", "1.5", "0x10", "1 G", "1MM", "1e9", "9007199254740993T"]) {
    assertThrows(() => parseSize(text, "RAM"), UsageError, `RAM "${text}" is not a size`);
  }
});

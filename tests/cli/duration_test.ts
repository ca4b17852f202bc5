import { assertEquals, assertThrows } from "@std/assert";
import { formatDuration, parseDuration } from "../../src/cli/duration.ts";
import { UsageError } from "../../src/errors.ts";

Deno.test("parseDuration() reads 0 and numbers with a unit", () => {
  assertEquals(
    ["0", "500ms", "2s", "1.5m", "1h"].map((text) => parseDuration(text, "--run")),
    [0, 500, 2000, 90_000, 3_600_000],
  );
});

for (const text of ["", "5", "s", "-1s", "1d", "1 s", "1e3ms"]) {
  Deno.test(`parseDuration() refuses "${text}"`, () => {
    assertThrows(() => parseDuration(text, "--run"), UsageError, "--run");
  });
}

Deno.test("formatDuration() uses a unit that suits", () => {
  assertEquals(
    [0, 7.6, 999, 1240, 119_000, 125_000].map(formatDuration),
    ["0 ms", "8 ms", "999 ms", "1.24 s", "119.00 s", "2 min 5 s"],
  );
});

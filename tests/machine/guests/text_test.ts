import { assert, assertEquals } from "@std/assert";
import { logText } from "../../../src/machine/guests/text.ts";

Deno.test("logText() is lines of printable text, the same each time", () => {
  const text = new TextDecoder().decode(logText(4096));
  assertEquals(text.length, 4096);
  assert(/^([ -~]+\n)+[ -~]*$/.test(text), text.slice(0, 200));
  assertEquals(logText(4096), logText(4096));
});

Deno.test("logText() differs from line to line, so that text is not compressed to nothing", () => {
  const lines = new TextDecoder().decode(logText(4096)).split("\n").slice(0, -1);
  assert(lines.length > 50, `${lines.length}`);
  assertEquals(new Set(lines).size, lines.length);
});

Deno.test("logText() goes round when more is wanted than there is", () => {
  const [some, more] = [logText(100), logText(100_000)];
  assertEquals([some.length, more.length], [100, 100_000]);
  assertEquals(more.subarray(0, 100), some);
  const start = new TextDecoder().decode(some);
  assert(new TextDecoder().decode(more).lastIndexOf(start) > 0);
  assertEquals(logText(0).length, 0);
});

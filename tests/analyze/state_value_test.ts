import { assertEquals } from "@std/assert";
import { StateInteger } from "../../src/analyze/state_value.ts";

Deno.test("A StateInteger is as wide as in the stream, and shows what is negative", () => {
  assertEquals(new StateInteger(0n, 1).text, "0x00");
  assertEquals(new StateInteger(0x1234n, 4).text, "0x00001234");
  assertEquals(new StateInteger(-1n, 4).text, "0xffffffff (-1)");
  assertEquals(new StateInteger(2n ** 64n - 1n, 8).text, "0xffffffffffffffff");
  assertEquals(new StateInteger(-(2n ** 63n), 8).text, "0x8000000000000000 (-9223372036854775808)");
});

import { assertEquals } from "@std/assert";
import { isSame, pairs } from "../../src/analyze/difference.ts";

Deno.test("pairs() pairs what both have, in the first one's order", () => {
  const first = new Map([["a", 1], ["b", 2]]);
  const second = new Map([["c", 3], ["b", 4]]);
  assertEquals(pairs(first, second), [
    { name: "a", first: 1, second: undefined },
    { name: "b", first: 2, second: 4 },
    { name: "c", first: undefined, second: 3 },
  ]);
});

Deno.test("isSame() is true of nothing that differs", () => {
  const none = { machine: [], blocks: [], devices: [] };
  assertEquals(isSame(none), true);
  const difference = { what: "machine", first: "a", second: "b" };
  assertEquals(isSame({ ...none, machine: [difference] }), false);
});

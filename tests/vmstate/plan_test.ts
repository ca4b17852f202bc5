import { assertEquals, assertThrows } from "@std/assert";
import {
  amountOf,
  checkLength,
  fieldExists,
  keyOf,
  kindOf,
  ownerOf,
} from "../../src/vmstate/plan.ts";
import { uint8 } from "../../src/vmstate/scalars.ts";
import { at } from "../../src/vmstate/unbound.ts";
import { vmstateOf } from "../../src/vmstate/vmstate.ts";

Deno.test("fieldExists() goes by the version, unless a predicate is there: it alone decides", () => {
  const exists = (state: { on: boolean }, version: number) => state.on && version > 1;
  const [since, asks] = [uint8({ since: 2 }).plan, uint8({ since: 9, exists }).plan];
  assertEquals([1, 2, 3].map((version) => fieldExists(since, {}, version)), [false, true, true]);
  assertEquals(fieldExists(asks, { on: true }, 2), true);
  assertEquals(fieldExists(asks, { on: true }, 1), false);
  assertEquals(fieldExists(asks, { on: false }, 10), false);
});

Deno.test("ownerOf() and keyOf() say where a value is that is not in the state itself", () => {
  interface Room {
    size: number;
    door: { open: number };
  }
  const { fields: [size, open] } = vmstateOf<Room>("room", {
    fields: { size: uint8(), $open: at((room: Room) => room.door, "open", uint8()) },
  }).plan;
  const room = { size: 1, door: { open: 2 } };
  assertEquals([ownerOf(size!, room), keyOf(size!)], [room, "size"]);
  assertEquals([ownerOf(open!, room), keyOf(open!)], [room.door, "open"]);
});

Deno.test("checkLength() refuses storage of another length than was declared", () => {
  const place = { typeError: (what: string) => new TypeError(`d.a ${what}`) };
  const shape = { kind: "fixed", start: 2, length: 3, exact: true } as const;
  checkLength(place, shape, [1, 2, 3, 4, 5]);
  for (const length of [4, 6]) {
    assertThrows(
      () => checkLength(place, shape, { length }),
      TypeError,
      `d.a has ${length} elements, not 5`,
    );
  }
  const part = { ...shape, exact: false };
  for (const length of [5, 6]) checkLength(place, part, { length });
  assertThrows(() => checkLength(place, part, { length: 4 }), TypeError, "not at least 5");
});

Deno.test("amountOf() is a count times its factor, and nothing where there is no count", () => {
  const amount = { property: "count", multiply: 4, max: undefined };
  assertEquals([0, 1, 7].map((count) => amountOf(amount, { count })), [0, 4, 28]);
  for (const count of [-1, 1.5, NaN, Infinity, "3", 3n, null, undefined]) {
    assertEquals(amountOf(amount, { count }), undefined, String(count));
  }
  assertEquals(amountOf(amount, {}), undefined);
});

Deno.test("kindOf() has words for any value", () => {
  assertEquals(
    [5, "a", null, undefined, 3n, [1], new Uint8Array(2), {}, Object.create(null)].map(kindOf),
    [
      "5",
      "a",
      "null",
      "undefined",
      "3",
      "a value of Array",
      "a value of Uint8Array",
      "a value of Object",
      "a value of no class",
    ],
  );
});

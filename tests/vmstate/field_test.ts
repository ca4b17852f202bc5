import { assertEquals, assertThrows } from "@std/assert";
import { checkedInteger, fieldPlan, SINGLE } from "../../src/vmstate/field.ts";
import { uint8 } from "../../src/vmstate/scalars.ts";

const ELEMENT = uint8().plan.element;

Deno.test("fieldPlan() without options is in every version, under the property's name", () => {
  const plan = fieldPlan(ELEMENT, {});
  assertEquals([plan.name, plan.since, plan.exists, plan.mustExist], [
    undefined,
    0,
    undefined,
    false,
  ]);
  assertEquals([plan.source, plan.shape, plan.nullable], ["property", SINGLE, false]);
  assertEquals(plan.element, ELEMENT);
});

Deno.test("fieldPlan() keeps the options, and what its maker adds goes before the defaults", () => {
  const exists = () => true;
  const plan = fieldPlan(ELEMENT, { name: "n", since: 3, exists }, {
    mustExist: true,
    source: "nothing",
  });
  assertEquals([plan.name, plan.since, plan.exists], ["n", 3, exists]);
  assertEquals([plan.mustExist, plan.source], [true, "nothing"]);
});

Deno.test("fieldPlan() refuses a version that is none", () => {
  for (const since of [-1, 0.5, NaN, 2 ** 31]) {
    assertThrows(() => fieldPlan(ELEMENT, { since }), RangeError, `since is ${since}`);
  }
});

Deno.test("checkedInteger() takes what QEMU's int holds and is not negative", () => {
  assertEquals([0, 1, 0x7fffffff].map((value) => checkedInteger(value, "x")), [0, 1, 0x7fffffff]);
  for (const value of [-1, 1.5, NaN, Infinity, 0x80000000, "1" as unknown as number]) {
    assertThrows(() => checkedInteger(value, "length"), RangeError, `length is ${value}`);
  }
});

import { assertEquals } from "@std/assert";
import { typedArrays, valueArrays } from "../../src/vmstate/collections.ts";

Deno.test("typedArrays() are of their class only, and zeros when they are made", () => {
  const plan = typedArrays(Uint16Array, false);
  assertEquals(plan.is(new Uint16Array(1)), true);
  for (const other of [new Int16Array(1), new Uint8Array(2), [1], null, "a", undefined]) {
    assertEquals(plan.is(other), false);
  }
  assertEquals(plan.create!(3) as unknown, new Uint16Array(3));
  assertEquals(plan.name, "a Uint16Array");
});

Deno.test("typedArrays() in bulk say how many bytes an element is", () => {
  assertEquals(typedArrays(Float64Array, true).bulk, 8);
  assertEquals(typedArrays(Float64Array, false).bulk, 0);
});

Deno.test("valueArrays() make each element anew", () => {
  const plan = valueArrays(() => ({ x: 0 }));
  const made = plan.create!(2) as unknown as { x: number }[];
  assertEquals(made, [{ x: 0 }, { x: 0 }]);
  assertEquals(made[0] === made[1], false);
  assertEquals([plan.is([]), plan.is(new Uint8Array(1)), plan.is({ length: 1 })], [
    true,
    false,
    false,
  ]);
});

Deno.test("valueArrays() of elements that cannot be made here cannot be made", () => {
  assertEquals("create" in valueArrays(undefined), false);
});

import { assertEquals } from "@std/assert";
import { array, nullable } from "../../src/vmstate/arrays.ts";
import { describeAlike, fieldJson, nullJson, runLength } from "../../src/vmstate/field_json.ts";
import { uint16 } from "../../src/vmstate/scalars.ts";
import { struct } from "../../src/vmstate/structs.ts";
import type { FieldJson } from "../../src/vmstate/vmsd_json.ts";
import { vmstate } from "../../src/vmstate/vmstate.ts";

const asks = vmstate("asks", { fields: { a: uint16({ exists: () => true }) } });
const { fields: [numbers, values, dates, once, again] } = vmstate("d", {
  fields: {
    numbers: array(uint16(), 3),
    values: array(struct(asks), 3),
    dates: array(nullable(struct(vmstate("e", { fields: { a: uint16() } }))), 3),
    once: uint16({ name: "n" }),
    again: uint16({ name: "n" }),
  },
}).plan as unknown as { fields: readonly Parameters<typeof fieldJson>[0][] };

Deno.test("describeAlike() describes elements that are alike once, for all of them", () => {
  const fields: FieldJson[] = [];
  describeAlike(numbers!, 3, fields);
  assertEquals(fields, [{ name: "numbers", array_len: 3, type: "uint16", size: 2 }]);
});

Deno.test("describeAlike() describes each element where something in it may come and go", () => {
  const fields: FieldJson[] = [];
  describeAlike(values!, 3, fields);
  assertEquals(fields.map(({ index, array_len }) => [index, array_len]), [
    [0, undefined],
    [1, undefined],
    // As QEMU has it: one that is left is no array any more.
    [undefined, undefined],
  ]);
});

Deno.test("describeAlike() says nothing of no elements, or to nobody", () => {
  const fields: FieldJson[] = [];
  describeAlike(numbers!, 0, fields);
  assertEquals(fields, []);
  describeAlike(numbers!, 3, undefined);
});

Deno.test("fieldJson() puts what is inside under `struct`", () => {
  const child = { vmsd_name: "asks", version: 1, fields: [] };
  assertEquals(fieldJson(values!, 1, 2, child, 7), {
    name: "values",
    index: 1,
    type: "struct",
    struct: child,
    size: 7,
  });
});

Deno.test("fieldJson() makes names unique that a description has twice", () => {
  assertEquals([once!, again!].map((field) => fieldJson(field, 0, 1, undefined, 2).name), [
    "n[0]",
    "n[1]",
  ]);
  assertEquals(nullJson(again!, 1).name, "n[-1]");
});

Deno.test("nullJson() describes as many as follow", () => {
  assertEquals(nullJson(dates!, 2), { name: "dates", array_len: 2, type: "nullptr", size: 1 });
  assertEquals(nullJson(dates!, 1), { name: "dates", type: "nullptr", size: 1 });
});

Deno.test("runLength() counts elements that are null, or that are not, up to the end", () => {
  const elements = [null, null, 1, 2, 3, null];
  assertEquals([0, 1, 2, 4, 5].map((from) => runLength(elements, from, 6)), [2, 1, 3, 1, 1]);
  assertEquals(runLength(elements, 2, 4), 2);
});

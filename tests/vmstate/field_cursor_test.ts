import { assertEquals } from "@std/assert";
import type { FieldDump } from "../../src/vmstate/dump.ts";
import {
  balanceUnused,
  beginsWith,
  FieldCursor,
  isUnused,
} from "../../src/vmstate/field_cursor.ts";

function field(name: string, size = 4, more: Partial<FieldDump> = {}): FieldDump {
  return { field: name, version_id: 0, field_exists: false, size, ...more };
}

/** A field of a nested description. */
function nested(name: string, ...Fields: FieldDump[]): FieldDump {
  return field(name, 0, {
    Description: { name: `${name}'s`, version_id: 1, minimum_version_id: 0, Fields },
  });
}

/** The names of what is left, entering the fields that are told. */
function walk(fields: readonly FieldDump[], ...enter: readonly string[]): string[] {
  const cursor = new FieldCursor(fields);
  const names: string[] = [];
  for (let next; (next = cursor.next());) {
    if (enter.includes(next.field)) cursor.enter(next);
    else names.push(next.field);
  }
  return names;
}

Deno.test("FieldCursor walks nested fields where it is told to, and goes on behind them", () => {
  const fields = [
    field("a"),
    nested("b", field("b1"), nested("b2", field("b21")), field("b3")),
    field("c"),
  ];
  assertEquals(walk(fields), ["a", "b", "c"]);
  assertEquals(walk(fields, "b"), ["a", "b1", "b2", "b3", "c"]);
  assertEquals(walk(fields, "b", "b2"), ["a", "b1", "b21", "b3", "c"]);
});

Deno.test("FieldCursor ends, and stays at the end", () => {
  const cursor = new FieldCursor([field("a")]);
  cursor.next();
  assertEquals([cursor.next(), cursor.next()], [undefined, undefined]);
  assertEquals(walk([]), []);
  assertEquals(walk([nested("empty")], "empty"), []);
  assertEquals(walk([field("bare"), field("b")], "bare"), ["b"], "nothing is described inside");
});

Deno.test("beginsWith() knows the first field of what is nested, also under its other name", () => {
  assertEquals(beginsWith(nested("b", field("x"), field("y")), "x"), true);
  assertEquals(beginsWith(nested("b", field("x"), field("y")), "y"), false);
  assertEquals(beginsWith(nested("b"), "x"), false);
  assertEquals(beginsWith(field("x"), "x"), false);
  const device = field("dev", 0, {
    Description: {
      name: "e1000",
      version_id: 1,
      minimum_version_id: 0,
      Fields: [field("parent_obj")],
    },
  });
  assertEquals(beginsWith(device, "dev"), true);
});

Deno.test("balanceUnused() takes whole fields for unused space of their size, on either side", () => {
  const rest = [field("b", 2, { num: 3 }), field("c", 1), field("d", 9)];
  const hole = field("unused", 4 + 6 + 1);
  assertEquals(isUnused(hole), true);
  for (const isDestination of [true, false]) {
    const [others, empty] = [new FieldCursor(rest), new FieldCursor([])];
    const stuck = isDestination
      ? balanceUnused(field("a"), hole, others, empty)
      : balanceUnused(hole, field("a"), empty, others);
    assertEquals(stuck, undefined);
    assertEquals(others.next()?.field, "d", "it stands behind what the space stood for");
  }
});

Deno.test("balanceUnused() says at which field the sizes do not come out even", () => {
  const stuckAt = (size: number) =>
    balanceUnused(
      field("a"),
      field("unused", size),
      new FieldCursor([field("b"), field("c")]),
      new FieldCursor([]),
    )?.field;
  assertEquals([3, 4, 6, 8, 11, 12, 13].map(stuckAt), [
    "a",
    undefined,
    "b",
    undefined,
    "c",
    undefined,
    "c",
  ]);
});

import { assertEquals, assertThrows } from "@std/assert";
import {
  any,
  boolean,
  choice,
  integer,
  list,
  object,
  optional,
  readMembers,
  string,
  stringOrNull,
  unsigned,
  unsigned64,
} from "../../src/qmp/argument_types.ts";
import type { JsonObject } from "../../src/qmp/json.ts";
import { QmpError } from "../../src/qmp/qmp_error.ts";

Deno.test("unsigned64 takes what a number cannot hold, too", () => {
  assertEquals(unsigned64.read(5, "x"), 5);
  assertEquals(unsigned64.read(2n ** 64n - 1n, "x"), 2n ** 64n - 1n);
  for (const value of [-1, -(2n ** 60n), 1.5, 1e20, "5", null]) {
    assertThrows(() => unsigned64.read(value, "x"), QmpError, "Parameter 'x' expects uint64");
  }
});

const MEMBERS = {
  text: string,
  flag: optional(boolean),
  size: optional(unsigned),
  offset: optional(integer),
  name: optional(stringOrNull),
  word: optional(choice(["one", "two"])),
  list: optional(list(object({ id: unsigned, note: optional(string) }))),
  rest: optional(any),
};

Deno.test("readMembers() reads what is there, and leaves out what is not", () => {
  assertEquals(readMembers(MEMBERS, { text: "a" }), { text: "a" });
  const all: JsonObject = {
    text: "",
    flag: false,
    size: 5,
    offset: -5,
    name: "n",
    word: "two",
    list: [{ id: 1 }, { id: 2, note: "x" }],
    rest: [null],
  };
  assertEquals(readMembers(MEMBERS, all), all as ReturnType<typeof readMembers<typeof MEMBERS>>);
  assertEquals(readMembers(MEMBERS, { text: "", name: null }), { text: "", name: "" });
});

const REFUSED: readonly (readonly [JsonObject, string])[] = [
  [{}, "Parameter 'text' is missing"],
  [{ text: null }, "Invalid parameter type for 'text', expected: string"],
  [{ text: "", flag: "yes" }, "Invalid parameter type for 'flag', expected: boolean"],
  [{ text: "", size: -1 }, "Parameter 'size' expects uint64"],
  [{ text: "", size: 1.5 }, "Parameter 'size' expects uint64"],
  [{ text: "", size: "5" }, "Parameter 'size' expects uint64"],
  [{ text: "", offset: 2n ** 60n }, "Invalid parameter type for 'offset', expected: integer"],
  [{ text: "", name: 5 }, "Invalid parameter type for 'name', expected: StrOrNull"],
  [{ text: "", word: "three" }, "Parameter 'word' does not accept value 'three'"],
  [{ text: "", word: 1 }, "Invalid parameter type for 'word', expected: string"],
  [{ text: "", list: {} }, "Invalid parameter type for 'list', expected: array"],
  [{ text: "", list: [5] }, "Invalid parameter type for 'list[0]', expected: object"],
  [{ text: "", list: [{ id: 1 }, {}] }, "Parameter 'list[1].id' is missing"],
  [{ text: "", list: [{ id: 1, x: 1 }] }, "Parameter 'list[0].x' is unexpected"],
  [{ text: "", x: 1 }, "Parameter 'x' is unexpected"],
  [JSON.parse('{"text": "", "__proto__": 1}'), "Parameter '__proto__' is unexpected"],
];

Deno.test("readMembers() refuses what is missing, unknown or of another type, in QEMU's words", () => {
  for (const [given, why] of REFUSED) {
    const error = assertThrows(() => readMembers(MEMBERS, given), QmpError);
    assertEquals(error.description, why);
  }
});

Deno.test("Types say what values they have", () => {
  assertEquals(choice(["one", "two"]).shape, { kind: "enum", words: ["one", "two"] });
  assertEquals(optional(boolean).shape, boolean.shape);
});

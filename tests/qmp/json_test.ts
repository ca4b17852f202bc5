import { assertEquals, assertThrows } from "@std/assert";
import { isJsonObject, readJson, writeJson } from "../../src/qmp/json.ts";
import { QmpError } from "../../src/qmp/qmp_error.ts";

Deno.test("readJson() reads what JSON.parse() reads", () => {
  for (
    const text of [
      "null",
      "true",
      "false",
      "0",
      "-0.5",
      "1e3",
      "-1.5E-2",
      "9007199254740991",
      '""',
      '"a\\"b\\\\c\\/d\\b\\f\\n\\r\\t\\u00e9"',
      '"\\ud83d\\ude00 é \u{1f600} \u007f"',
      "[]",
      "[1, [2, {}], null]",
      "{}",
      ' { "a" : { "b" : [ ] } , "" : 1 } ',
      '{"__proto__": {"x": 1}, "constructor": 2}',
    ]
  ) assertEquals(readJson(text), JSON.parse(text), text);
});

Deno.test("readJson() reads integers of 64 bits exactly, and single quotes", () => {
  assertEquals(readJson("12345678901234567890"), 12345678901234567890n);
  assertEquals(readJson("-9223372036854775808"), -9223372036854775808n);
  assertEquals(readJson("18446744073709551616"), 18446744073709551616);
  assertEquals(readJson(`{'a': 'it"s', "b": "it's"}`), { a: 'it"s', b: "it's" });
  assertEquals(readJson(`'\\''`), "'");
});

Deno.test("readJson() sets a member, whatever its name, and nothing else", () => {
  const value = readJson('{"__proto__": {"polluted": true}}');
  assertEquals(Object.keys(value as object), ["__proto__"]);
  assertEquals(({} as Record<string, unknown>)["polluted"], undefined);
});

const WRONG: Readonly<Record<string, string>> = {
  "": "expecting value",
  "]": "expecting value",
  "{bad}": "key is not a string in object",
  "{1: 2}": "key is not a string in object",
  '{"a" 2}': "missing : in object pair",
  '{"a":}': "expecting value",
  '{"a":1 "b":2}': "expected separator in dict",
  '{"a":1]': "expected separator in dict",
  '{"a":1': "expected separator in dict",
  '{"a":1,}': "key is not a string in object",
  '{"a":1,"a":2}': "duplicate key",
  "[1 2]": "expected separator in list",
  "[1,]": "expecting value",
  "[": "expecting value",
  "tru": "invalid keyword 'tru'",
  "-": "stray '-'",
  "01": "stray '01'",
  "1.": "stray '1.'",
  "+1": "stray '+1'",
  "1e999": "number '1e999' is out of range",
  '"\\x41"': "invalid escape sequence in string",
  '"\\u12"': "invalid escape sequence in string",
  '"\\ud800"': "a half of a surrogate pair in string",
  '"open': "stray '\"'",
  "1 2": "expected end of input",
};

Deno.test("readJson() says what is wrong, as QEMU does", () => {
  for (const [text, why] of Object.entries(WRONG)) {
    const error = assertThrows(() => readJson(text), QmpError);
    assertEquals(error.description, `JSON parse error, ${why}`, text);
    assertEquals(error.qmpClass, "GenericError");
  }
});

Deno.test("writeJson() writes one line of ASCII that reads back", () => {
  const value = {
    a: [1, -0.5, 12345678901234567890n, null, true],
    "é\n": "\u{1f600}\x7f\\",
    b: {},
  };
  const text = writeJson(value);
  assertEquals(
    text,
    '{"a": [1, -0.5, 12345678901234567890, null, true], ' +
      '"\\u00e9\\n": "\\ud83d\\ude00\\u007f\\\\", "b": {}}',
  );
  assertEquals(readJson(text), value);
});

Deno.test("writeJson() writes whole numbers with all of their digits", () => {
  assertEquals(writeJson(9223372036853727232), "9223372036853727232");
  assertEquals(writeJson(-(2 ** 60)), "-1152921504606846976");
  assertEquals([2 ** 64, 0, -0, 1e300].map((each) => writeJson(each)), [
    "18446744073709552000",
    "0",
    "0",
    "1e+300",
  ]);
});

Deno.test("writeJson() leaves out what is undefined, and refuses what JSON has not", () => {
  assertEquals(writeJson({ a: undefined, b: 1 }), '{"b": 1}');
  assertEquals(writeJson(NaN), "null");
  assertThrows(() => writeJson([undefined]), TypeError);
});

Deno.test("writeJson() with an indent puts members on lines of their own", () => {
  assertEquals(
    writeJson({ a: [1, {}], b: [] }, ""),
    '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}',
  );
});

Deno.test("isJsonObject() tells objects from arrays and null", () => {
  assertEquals([{}, [], null, "", undefined].map(isJsonObject), [true, false, false, false, false]);
});

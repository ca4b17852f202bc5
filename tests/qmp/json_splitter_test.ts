import { assertEquals } from "@std/assert";
import { type JsonFound, JsonSplitter, NESTING_MAX } from "../../src/qmp/json_splitter.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const show = (found: JsonFound) => "text" in found ? found.text : found.error.description;

function split(bytes: Uint8Array, ...ends: number[]): string[] {
  const splitter = new JsonSplitter();
  let at = 0;
  return [...ends, bytes.length].flatMap((end) => {
    const part = bytes.subarray(at, end);
    at = end;
    return Array.from(splitter.feed(part), show);
  });
}

const STREAM =
  '{"a":"}\\"{"} [1,[2]]\n{"b":\'"\'}{"é":"\u{1f600}\\\\"}\r\n 5 true "x"\'y\' {\n"c":\t[]}';
const VALUES = [
  '{"a":"}\\"{"}',
  "[1,[2]]",
  '{"b":\'"\'}',
  '{"é":"\u{1f600}\\\\"}',
  "5",
  "true",
  '"x"',
  "'y'",
  '{\n"c":\t[]}',
];

Deno.test("JsonSplitter finds the same values wherever the stream is split", () => {
  const bytes = encode(STREAM);
  assertEquals(split(bytes), VALUES);
  for (let i = 0; i <= bytes.length; i++) {
    for (let j = i; j <= bytes.length; j++) assertEquals(split(bytes, i, j), VALUES, `${i} ${j}`);
  }
  assertEquals(split(bytes, ...bytes.keys()), VALUES);
});

Deno.test("JsonSplitter goes on after what is no JSON, wherever it is split", () => {
  const cases: Readonly<Record<string, string[]>> = {
    '@@@ hello {"a":1}': ["JSON parse error, stray '@'", '{"a":1}'],
    '{"a": @"b"}{"c":2}': ["JSON parse error, stray '@'", "}", '{"c":2}'],
    '{"a":"open\n{"c":2}': ["JSON parse error, control character in string", '{"c":2}'],
    'hello\n{"c":2}': ["hello", '{"c":2}'],
    '}{"c":2}': ["}", '{"c":2}'],
    ']}{"c":2}': ["]", "}", '{"c":2}'],
    ',{"c":2}': [",", '{"c":2}'],
    '{"a":1]{"c":2}': ['{"a":1]', '{"c":2}'],
    'True _{"c":2}': ["JSON parse error, stray 'T'", '{"c":2}'],
    '{"a":\0}{"c":2}': ["JSON parse error, stray '\\x00'", "}", '{"c":2}'],
  };
  for (const [text, expected] of Object.entries(cases)) {
    const bytes = encode(text);
    for (let i = 0; i <= bytes.length; i++) {
      // What follows an opening bracket that no closing one has met waits for it.
      assertEquals(split(bytes, i), expected, `${text} split at ${i}`);
    }
  }
});

Deno.test("JsonSplitter takes the byte that no text has as a fresh start", () => {
  const bytes = Uint8Array.from([...encode('{"a":'), 0xff, ...encode('{"c":2}')]);
  assertEquals(split(bytes), ["JSON parse error, stray '\\xff'", '{"c":2}']);
  const inString = Uint8Array.from([...encode('{"a":"'), 0xff, ...encode('{"c":2}')]);
  assertEquals(split(inString), ["JSON parse error, stray '\\xff' in string", '{"c":2}']);
});

Deno.test("JsonSplitter refuses bytes that are not UTF-8", () => {
  const bytes = Uint8Array.from([...encode('{"a":"'), 0xc3, 0x28, ...encode('"}{"c":2}')]);
  assertEquals(split(bytes), ["JSON parse error, invalid UTF-8 sequence in string", '{"c":2}']);
});

Deno.test("JsonSplitter bounds the nesting", () => {
  const deep = "[".repeat(NESTING_MAX) + "]".repeat(NESTING_MAX);
  assertEquals(split(encode(deep)), [deep]);
  const deeper = "[".repeat(NESTING_MAX + 1);
  assertEquals(split(encode(`${deeper}\n{"c":2}`)), [
    "JSON nesting depth limit exceeded",
    '{"c":2}',
  ]);
});

Deno.test("JsonSplitter bounds the size of a value, white space in it included", () => {
  const feed = (text: string) => Array.from(new JsonSplitter(16).feed(encode(text)), show);
  assertEquals(feed('{"a":"567890123"'), []);
  assertEquals(feed('{"a":"5678901"}\n5\n'), ['{"a":"5678901"}', "5"]);
  assertEquals(feed('{"a":"56789012"}'), ['{"a":"56789012"}']);
  assertEquals(feed('{"a":"5678901234"}\n5\n'), ["JSON token size limit exceeded", "}", "5"]);
  assertEquals(feed(`{${" ".repeat(20)}\n5\n`), ["JSON token size limit exceeded", "5"]);
  assertEquals(feed(" ".repeat(100) + "5\n"), ["5"]);
});

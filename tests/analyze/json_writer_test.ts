import { assertEquals } from "@std/assert";
import { JsonWriter } from "../../src/analyze/json_writer.ts";
import { StateInteger, type StateValue } from "../../src/analyze/state_value.ts";

function written(write: (writer: JsonWriter) => void): string {
  let text = "";
  const decoder = new TextDecoder();
  const writer = new JsonWriter((bytes) => void (text += decoder.decode(bytes, { stream: true })));
  write(writer);
  writer.end();
  return text;
}

Deno.test("JsonWriter lays objects and lists out as JSON.stringify() does with four spaces", () => {
  for (
    const value of [
      {},
      [],
      { a: [], b: {}, c: [1, [2, { d: null }]], e: true, f: 'x\ny"z' },
      [{}, [[]]],
      "text",
      -1.5,
    ]
  ) assertEquals(written((writer) => writer.json(value)), JSON.stringify(value, null, 4) + "\n");
});

Deno.test("JsonWriter escapes all that is not ASCII", () => {
  assertEquals(
    written((writer) => writer.json({ "ü": "\u007f€😀" })),
    '{\n    "\\u00fc": "\\u007f\\u20ac\\ud83d\\ude00"\n}\n',
  );
});

Deno.test("JsonWriter writes device state as QEMU's script does", () => {
  const state = new Map<string, StateValue>([
    ["bytes", Uint8Array.of(0, 1, 255)],
    ["none", new Uint8Array(0)],
    ["number", new StateInteger(-2n, 2)],
    ["flag", false],
    ["null", null],
    ["name", "n"],
    ["list", [true, new Map()]],
    ["10", new Map([["x", true]])],
    ["2", []],
  ]);
  assertEquals(
    written((writer) => writer.state(state)),
    `{
    "bytes": "00 01 ff",
    "none": "",
    "number": "0xfffe (-2)",
    "flag": false,
    "null": "nullptr",
    "name": "n",
    "list": [
        true,
        {}
    ],
    "10": {
        "x": true
    },
    "2": []
}
`,
  );
});

Deno.test("JsonWriter writes more than it holds", () => {
  const bytes = Uint8Array.from({ length: 1_000_000 }, (_, i) => i ^ i >> 8);
  const text = "ü".repeat(400_000);
  const parsed = JSON.parse(written((writer) => {
    writer.open("[");
    writer.element();
    writer.hex(bytes);
    writer.element();
    writer.string(text);
    writer.close("]");
  }));
  assertEquals(parsed[0] === bytes.toHex().replace(/..(?=.)/g, "$& "), true);
  assertEquals(parsed[1] === text, true);
});

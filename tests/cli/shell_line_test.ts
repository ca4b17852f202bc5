import { assertEquals, assertThrows } from "@std/assert";
import { parseShellLine, splitWords } from "../../src/cli/shell_line.ts";
import { ShellSchema } from "../../src/cli/shell_schema.ts";
import { UsageError } from "../../src/errors.ts";

const LINES: Readonly<Record<string, unknown>> = {
  "": undefined,
  "  # migrate uri=x": undefined,
  "query-status": { name: "query-status", args: {} },
  "  stop  ": { name: "stop", args: {} },
  "migrate uri=tcp:[::1]:4444 resume=true": {
    name: "migrate",
    args: { uri: "tcp:[::1]:4444", resume: true },
  },
  "x a=5 b=-1.5 c=null d=off e= f=007 g=1e3 h=a=b": {
    name: "x",
    args: { a: 5, b: -1.5, c: null, d: "off", e: "", f: "007", g: "1e3", h: "a=b" },
  },
  "migrate uri=\"exec:cat > a b\" x='5'": {
    name: "migrate",
    args: { uri: "exec:cat > a b", x: "5" },
  },
  "x a.b.c=1 a.b.d=two a.e=[]": { name: "x", args: { a: { b: { c: 1, d: "two" }, e: [] } } },
  'migrate channels=[ {"channel-type": "main", "addr": {"path": "a b]"}} ] detach=true': {
    name: "migrate",
    args: { channels: [{ "channel-type": "main", addr: { path: "a b]" } }], detach: true },
  },
  "x a=12345678901234567890": { name: "x", args: { a: 12345678901234567890n } },
  '{"execute": "stop", "id": 5}': { name: "stop", args: {} },
  '{"exec-oob": "migrate-recover", "arguments": {"uri": "unix:a"}}': {
    how: "exec-oob",
    name: "migrate-recover",
    args: { uri: "unix:a" },
  },
};

Deno.test("parseShellLine() reads commands, with values that are JSON where they look like it", () => {
  for (const [line, expected] of Object.entries(LINES)) {
    assertEquals(
      parseShellLine(line) as unknown,
      expected && { how: "execute", ...expected },
      line,
    );
  }
});

Deno.test("parseShellLine() makes lists of what is numbered from 0", () => {
  const { args } = parseShellLine("x a.0.b=1 a.0.c=2 a.1=x b.1=y c.0.0=z")!;
  assertEquals(args, { a: [{ b: 1, c: 2 }, "x"], b: { "1": "y" }, c: [["z"]] });
});

Deno.test("parseShellLine() reads values by their types, where they are known", () => {
  const schema = new ShellSchema([{ name: "x" }], [
    { name: "x", "meta-type": "command", "arg-type": "1" },
    {
      name: "1",
      "meta-type": "object",
      members: ["str", "int", "enum", "bool"].map((name) => ({ name, type: name })),
    },
    { name: "str", "meta-type": "builtin", "json-type": "string" },
    { name: "int", "meta-type": "builtin", "json-type": "int" },
    { name: "bool", "meta-type": "builtin", "json-type": "boolean" },
    { name: "enum", "meta-type": "enum", members: [{ name: "5" }] },
  ]);
  const read = (words: string) => parseShellLine(`x ${words}`, schema)!.args as unknown;
  assertEquals(read("str=5 enum=5 int=5 bool=true"), { str: "5", enum: "5", int: 5, bool: true });
  assertEquals(read("str=true int=100M"), { str: "true", int: 100 * 1024 ** 2 });
  assertEquals([read("int=1.5k"), read("int=2t")], [{ int: 1536 }, { int: 2 * 1024 ** 4 }]);
  assertEquals(read("int=5x other=5 bool=1k"), { int: "5x", other: 5, bool: "1k" });
  assertEquals(read(`str="a b" int="5"`), { str: "a b", int: "5" }); // in quotes it is as it is
});

const WRONG: Readonly<Record<string, string>> = {
  "x a": '"a" is not key=value',
  "x =5": '"=5" is not key=value',
  "x a=1 a=2": "a is there already",
  "x a=1 a.b=2": "a is there already, and not an object",
  "x a..b=1": "has an empty key",
  "x a={bad}": "key is not a string in object",
  "x a=[1,": "expecting value",
  "{bad}": "key is not a string in object",
  "{}": 'either "execute" or "exec-oob"',
  '{"execute": "a", "exec-oob": "b"}': 'either "execute" or "exec-oob"',
  '{"execute": "a", "arguments": 5}': '"arguments" is a JSON object',
  '{"execute": "a", "more": 5}': 'no member "more"',
};

Deno.test("parseShellLine() says what it does not understand", () => {
  for (const [line, why] of Object.entries(WRONG)) {
    assertThrows(() => parseShellLine(line), UsageError, why, line);
  }
});

Deno.test("parseShellLine() sets a member, whatever its name", () => {
  const { args } = parseShellLine("x __proto__.polluted=true")!;
  assertEquals(Object.keys(args), ["__proto__"]);
  assertEquals(({} as Record<string, unknown>)["polluted"], undefined);
});

Deno.test("splitWords() splits at spaces outside of quotes and brackets", () => {
  assertEquals(splitWords(`a "b c"  d={"e": [1, 2]} f='g h'`), [
    "a",
    '"b c"',
    'd={"e": [1, 2]}',
    "f='g h'",
  ]);
  assertEquals(splitWords("it's a ] b"), ["it's", "a", "]", "b"]);
});

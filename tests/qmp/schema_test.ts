import { assert, assertEquals } from "@std/assert";
import {
  boolean,
  choice,
  list,
  number,
  object,
  optional,
  string,
  stringOrNull,
} from "../../src/qmp/argument_types.ts";
import { type Command, command, outOfBand } from "../../src/qmp/command.ts";
import { QMP_EVENTS } from "../../src/qmp/events.ts";
import { describeSchema } from "../../src/qmp/schema.ts";

function described(commands: Record<string, Command>) {
  const entities = describeSchema(new Map(Object.entries(commands)), {
    put: list(object({ sum: number, more: optional(string) })),
  });
  const byName = new Map(entities.map((each) => [each.name, each]));
  assertEquals(byName.size, entities.length); // no name twice
  return { entities, at: (name: unknown) => byName.get(String(name))! };
}

Deno.test("describeSchema() describes a command's arguments, down to their words", () => {
  const item = object({ word: choice(["one", "two"]), on: boolean });
  const { at } = described({
    put: command({ items: list(item), name: optional(stringOrNull), note: string }, () => ({})),
  });
  const put = at("put");
  assertEquals(put["meta-type"], "command");
  assert(!("allow-oob" in put));
  const args = at(put["arg-type"]);
  const [items, name, note] = args["members"] as Record<string, unknown>[];
  assertEquals([items?.["name"], "default" in items!], ["items", false]);
  assertEquals([name?.["name"], name?.["default"]], ["name", null]);
  assertEquals(note, { name: "note", type: "str" });
  const element = at(at(items!["type"])["element-type"]);
  const [word, on] = element["members"] as Record<string, unknown>[];
  assertEquals(at(word!["type"])["values"], ["one", "two"]);
  assertEquals(at(on!["type"])["json-type"], "boolean");
  assertEquals(at(name!["type"])["members"], [{ type: "str" }, { type: "null" }]);
});

Deno.test("describeSchema() describes answers, which are {} if nothing is said of them", () => {
  const { at } = described({ put: command({}, () => []), other: command({}, () => ({})) });
  const answer = at(at(at("put")["ret-type"])["element-type"]);
  const [sum, more] = answer["members"] as Record<string, unknown>[];
  assertEquals([at(sum!["type"])["json-type"], "default" in sum!], ["number", false]);
  assertEquals(more, { name: "more", type: "str", default: null });
  assertEquals(at(at("other")["ret-type"])["members"], []);
});

Deno.test("describeSchema() says what may come out of band, and shares types that are alike", () => {
  const words = () => choice(["a", "b"]);
  const { entities, at } = described({
    one: outOfBand(command({ word: words() }, () => ({}))),
    other: command({ word: words() }, () => ({})),
  });
  assertEquals([at("one")["allow-oob"], at("other")["allow-oob"]], [true, undefined]);
  assertEquals(at("one")["arg-type"], at("other")["arg-type"]);
  assertEquals(entities.filter((each) => each["values"]?.toString() === "a,b").length, 1);
});

Deno.test("describeSchema() lists every event", () => {
  const { entities } = described({});
  const events = entities.filter((each) => each["meta-type"] === "event");
  assertEquals(events.map(({ name }) => name), Object.keys(QMP_EVENTS));
});

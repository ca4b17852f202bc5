import { assert, assertEquals } from "@std/assert";
import { ShellCompletion } from "../../src/cli/shell_completion.ts";
import { ShellSchema } from "../../src/cli/shell_schema.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { qmpCommands } from "../../src/qmp/commands.ts";
import type { JsonValue } from "../../src/qmp/json.ts";

const commands = qmpCommands({ control: new MigrationControl({}), quit: () => {} }, () => {});
const schema = commands.get("query-qmp-schema")!.run({}) as JsonValue;
const names = ["stop", "migrate", "migrate-pause", "migrate-continue"].map((name) => ({ name }));
const completion = new ShellCompletion(new ShellSchema(names, schema));

Deno.test("ShellCompletion completes a command's name", () => {
  assertEquals(completion.complete("s"), [["stop "], "s"]);
  assertEquals(completion.complete("migrate-"), [
    ["migrate-continue ", "migrate-pause "],
    "migrate-",
  ]);
  assertEquals(completion.complete("nothing"), [[], "nothing"]);
  assertEquals(completion.complete("")[0].length, 5);
  assertEquals(completion.complete("he"), [["help "], "he"]);
  assertEquals(completion.complete("help mig")[0].length, 3);
  assertEquals(completion.complete("help migrate s")[0], []);
});

Deno.test("ShellCompletion completes arguments and the words they can be", () => {
  assertEquals(completion.complete("migrate r"), [["resume="], "r"]);
  assertEquals(completion.complete("migrate uri=x "), [
    ["uri=", "channels=", "detach=", "resume="],
    "",
  ]);
  assertEquals(completion.complete("migrate resume=t"), [["resume=true "], "resume=t"]);
  const [states, begun] = completion.complete("migrate-continue state=pre");
  assertEquals([states, begun], [["state=pre-switchover "], "state=pre"]);
  assert(completion.complete("migrate-set-parameters max-").at(0)!.includes("max-bandwidth="));
  assertEquals(completion.complete("migrate-set-parameters multifd-compression=zs"), [
    ["multifd-compression=zstd "],
    "multifd-compression=zs",
  ]);
  assertEquals(completion.complete("migrate uri=x"), [[], "uri=x"]);
  assertEquals(completion.complete("stop x"), [[], "x"]);
});

Deno.test("ShellCompletion completes the words inside JSON", () => {
  const line = 'migrate-set-capabilities capabilities=[{"cap';
  assertEquals(completion.complete(line), [['capability"'], "cap"]);
  assertEquals(completion.complete(`${line}ability":"mul`), [['multifd"'], "mul"]);
  assertEquals(completion.complete(`${line}ability":"no`), [[], "no"]);
  assertEquals(completion.complete(`${line}ability": "mul`), [['multifd"'], "mul"]);
  assertEquals(completion.complete(`${line}ability": "multifd", "st`), [['state"'], "st"]);
  assertEquals(completion.complete(`${line}ability": `)[0], []);
});

Deno.test("ShellCompletion completes members of members, and what is one type or another", () => {
  const types = [
    { name: "put", "meta-type": "command", "arg-type": "1" },
    { name: "1", "meta-type": "object", members: [{ name: "at", type: "2" }] },
    {
      name: "2",
      "meta-type": "object",
      members: [{ name: "side", type: "3" }, { name: "again", type: "2" }],
    },
    { name: "3", "meta-type": "alternate", members: [{ type: "bool" }, { type: "4" }] },
    { name: "4", "meta-type": "enum", members: [{ name: "left" }, { name: "right" }] },
    { name: "bool", "meta-type": "builtin", "json-type": "boolean" },
  ];
  const list = completion.complete("migrate-set-capabilities capabilities.0.cap");
  assertEquals(list[0], ["capabilities.0.capability="]);
  assertEquals(
    completion.complete("migrate channels.0.addr.transport=s")[0],
    ["channels.0.addr.transport=socket "],
  );
  const nested = new ShellCompletion(new ShellSchema([{ name: "put" }], types));
  assertEquals(nested.complete("put at.s"), [["at.side="], "at.s"]);
  assertEquals(nested.complete("put at.again.side=l"), [
    ["at.again.side=left "],
    "at.again.side=l",
  ]);
  assertEquals(nested.complete("put at.side=t")[0], ["at.side=true "]);
  assertEquals(nested.complete('put at={"again":{"s')[0], ['side"']);
  assertEquals(nested.complete("put none.side=")[0], []);
});

Deno.test("ShellCompletion completes names alone without a schema, and nothing without either", () => {
  assertEquals(new ShellCompletion(new ShellSchema(names)).complete("migrate r"), [[], "r"]);
  assertEquals(new ShellCompletion(new ShellSchema(names)).complete("st"), [["stop "], "st"]);
  assertEquals(new ShellCompletion(new ShellSchema(null, "nonsense")).complete("st"), [[], "st"]);
});

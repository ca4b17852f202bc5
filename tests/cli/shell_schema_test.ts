import { assertEquals } from "@std/assert";
import { ShellSchema } from "../../src/cli/shell_schema.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { qmpCommands } from "../../src/qmp/commands.ts";
import type { JsonValue } from "../../src/qmp/json.ts";

const commands = qmpCommands({ control: new MigrationControl({}), quit: () => {} }, () => {});
const answer = (name: string) => commands.get(name)!.run({}) as JsonValue;
const schema = new ShellSchema(answer("query-commands"), answer("query-qmp-schema"));

Deno.test("ShellSchema.typeAt() finds what an argument is, at any depth", () => {
  const at = (command: string, path: string) =>
    schema.describe(schema.typeAt(command, path.split(".")));
  assertEquals(at("migrate", "uri"), "string");
  assertEquals(at("migrate", "resume"), "boolean");
  assertEquals(at("migrate", "channels.0.addr.transport"), "socket|exec|file");
  assertEquals(at("migrate-set-parameters", "max-bandwidth"), "integer");
  assertEquals(at("migrate-set-parameters", "tls-creds"), "string or null");
  assertEquals(at("migrate-set-capabilities", "capabilities"), "list of object");
  assertEquals(schema.typeAt("migrate", ["nothing", "at", "all"]), undefined);
  assertEquals(schema.typeAt("nothing", ["uri"]), undefined);
});

Deno.test("ShellSchema.members() has those of variants, too, as what may be missing", () => {
  const types = new ShellSchema([], [
    { name: "put", "meta-type": "command", "arg-type": "0" },
    {
      ...{ name: "0", "meta-type": "object" },
      members: [{ name: "kind", type: "str" }],
      variants: [{ case: "a", type: "1" }, { case: "b", type: "2" }],
    },
    { name: "1", "meta-type": "object", members: [{ name: "one", type: "str" }] },
    { name: "2", "meta-type": "object", members: [{ name: "kind", type: "int" }] },
    { name: "str", "meta-type": "builtin", "json-type": "string" },
  ]);
  assertEquals(
    types.members(types.argumentsOf("put")).map(({ name, optional }) => [name, optional]),
    [["kind", false], ["one", true]],
  );
  assertEquals(types.members(types.typeAt("put", ["kind"])), []);
});

Deno.test("ShellSchema takes what is no schema for an empty one", () => {
  const none = new ShellSchema(5, [{ name: "x", members: 5 }, "y"]);
  assertEquals([none.commands, none.members(none.argumentsOf("x"))], [[], []]);
});

import { assertEquals, assertStringIncludes } from "@std/assert";
import { shellHelp } from "../../src/cli/shell_help.ts";
import { ShellSchema } from "../../src/cli/shell_schema.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { qmpCommands } from "../../src/qmp/commands.ts";
import type { JsonValue } from "../../src/qmp/json.ts";

const commands = qmpCommands({ control: new MigrationControl({}), quit: () => {} }, () => {});
const answer = (name: string) => commands.get(name)!.run({}) as JsonValue;
const schema = new ShellSchema(answer("query-commands"), answer("query-qmp-schema"));

Deno.test("shellHelp() says how commands are typed, and which there are", () => {
  const help = shellHelp("help", schema)!;
  for (const words of ["KEY=VALUE", "KEY.0.KEY=VALUE", "migrate-set-capabilities, "]) {
    assertStringIncludes(help, words);
  }
});

Deno.test("shellHelp() says what a command takes", () => {
  assertEquals(
    shellHelp(" help migrate-incoming ", schema),
    [
      "migrate-incoming",
      "  [uri=]  string",
      "  [channels=]  list of object",
      "  [exit-on-error=]  boolean",
    ].join("\n"),
  );
  assertEquals(shellHelp("help stop", schema), "stop takes no arguments");
  assertEquals(shellHelp("help nonsense", schema), "There is no command nonsense");
});

Deno.test("shellHelp() leaves other lines alone", () => {
  for (const line of ["", "stop", "helpless", "help a b"]) {
    assertEquals(shellHelp(line, schema), undefined);
  }
});

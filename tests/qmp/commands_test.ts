import { assert, assertEquals } from "@std/assert";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { qmpCommands } from "../../src/qmp/commands.ts";
import { QMP_VERSION } from "../../src/qmp/version.ts";

const quit = () => {};

Deno.test("query-commands lists every command, the negotiation too", () => {
  const commands = qmpCommands({ control: new MigrationControl({}), quit }, quit);
  const listed = commands.get("query-commands")!.run({}) as { name: string }[];
  assertEquals(
    listed.map(({ name }) => name).sort(),
    ["qmp_capabilities", ...commands.keys()].sort(),
  );
});

Deno.test("What the target cannot do is no command", () => {
  const control = new MigrationControl({});
  const names = (more: object) => new Set(qmpCommands({ control, quit, ...more }, quit).keys());
  const dirtyRate = { calculate: () => {}, query: () => ({}) };
  const dirtyLimit = { set: () => {}, cancel: () => {}, query: () => [] };
  assert(!names({}).has("calc-dirty-rate") && !names({}).has("set-vcpu-dirty-limit"));
  assert(names({ dirtyRate }).has("query-dirty-rate"));
  assert(names({ dirtyLimit }).has("query-vcpu-dirty-limit"));
});

Deno.test("query-version says what the greeting says", () => {
  const commands = qmpCommands({ control: new MigrationControl({}), quit }, quit);
  assertEquals(commands.get("query-version")!.run({}), QMP_VERSION);
});

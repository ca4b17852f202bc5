import { assert, assertEquals, assertThrows } from "@std/assert";
import { QmpError } from "../../src/qmp/qmp_error.ts";
import { yankCommands } from "../../src/qmp/yank_commands.ts";
import { smallMachine } from "./fixtures/served.ts";

Deno.test("yank breaks the connection of a migration that hangs; the machine runs on", async () => {
  await using machine = await smallMachine();
  const { "yank": yank, "query-yank": query } = yankCommands(machine.control);
  using deaf = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const migration = await machine.control.migrate(`tcp:127.0.0.1:${deaf.addr.port}`);
  const connection = await deaf.accept();
  assertEquals(query!.run({}), [{ type: "migration" }]);
  assertEquals(yank!.run({ instances: [] }), {});
  assertEquals(migration.status === "setup" || migration.status === "active", true);
  assertEquals(yank!.run({ instances: [{ type: "migration" }] }), {});
  await migration.completed.catch(() => {});
  assertEquals(migration.status, "failed");
  assert(migration.info()["error-desc"]!.includes("The connection was broken by yank"));
  assertEquals(query!.run({}), []);
  assert(machine.running);
  connection.close();
});

Deno.test("yank ends an incoming migration, too", async () => {
  await using machine = await smallMachine(false);
  const incoming = machine.control.migrateIncoming("tcp:127.0.0.1:0");
  await incoming.listening;
  const { yank } = yankCommands(machine.control);
  yank!.run({ instances: [{ type: "migration" }] });
  await incoming.completed.catch(() => {});
  assertEquals(incoming.status, "failed");
});

Deno.test("yank refuses what has no connection, and then breaks none", async () => {
  await using machine = await smallMachine();
  const { yank } = yankCommands(machine.control);
  for (const instance of [{ type: "migration" }, { type: "chardev", id: "x" }]) {
    const refused = assertThrows(() => yank!.run({ instances: [instance] }), QmpError);
    assertEquals(refused.qmpClass, "DeviceNotFound");
  }
  assertThrows(() => yank!.run({ instances: [{ type: "x" }] }), QmpError, "does not accept");
  assert(yank!.outOfBand);
});

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { StateError } from "../../src/errors.ts";
import { postcopyCommands } from "../../src/qmp/postcopy_commands.ts";
import { QmpClient } from "../support/qmp_client.ts";
import type { JsonObject } from "../support/json.ts";
import { Served } from "./fixtures/served.ts";

Deno.test("Postcopy's commands are refused where there is no postcopy, in QEMU's words", async () => {
  const control = new MigrationControl({});
  const commands = postcopyCommands(control);
  const run = (name: string, args = {}) => commands[name]!.run(args);
  assertThrows(() => run("migrate-start-postcopy"), StateError, "Enable postcopy with");
  control.setCapabilities({ "postcopy-ram": true });
  assertThrows(
    () => run("migrate-start-postcopy"),
    StateError,
    "Start the migration before switching to postcopy",
  );
  assertThrows(
    () => run("migrate-pause"),
    StateError,
    "only supported during postcopy-active or postcopy-recover state",
  );
  await assertRejects(
    async () => await run("migrate-recover", { uri: "tcp:127.0.0.1:0" }),
    StateError,
    "Migrate recover can only be run when postcopy is paused",
  );
  assertThrows(() => run("migrate-recover"), Error, "Parameter 'uri' is missing");
});

Deno.test("Pausing and recovering may overtake what hangs", () => {
  const commands = postcopyCommands(new MigrationControl({}));
  assertEquals(
    Object.entries(commands).filter(([, { outOfBand }]) => outOfBand).map(([name]) => name),
    ["migrate-pause", "migrate-recover"],
  );
});

Deno.test("A machine runs there before its pages, through pauses, as QMP's clients say", async () => {
  await using source = await Served.create();
  await using destination = await Served.create({ arrives: true });
  await using here = await QmpClient.connect(source.server.uri);
  await using there = await QmpClient.connect(destination.server.uri);
  const port = async () => {
    const info = await there.execute("query-migrate") as JsonObject;
    return (info["socket-address"] as JsonObject[])[0]!["port"];
  };
  const set = {
    capabilities: ["events", "postcopy-ram"].map((capability) => ({ capability, state: true })),
  };
  await Promise.all([here, there].map((end) => end.execute("migrate-set-capabilities", set)));
  await here.execute("migrate-set-parameters", {
    "max-bandwidth": 4096,
    "max-postcopy-bandwidth": 4096,
  });
  await there.execute("migrate-incoming", { uri: "tcp:127.0.0.1:0" });
  await here.execute("migrate", { uri: `tcp:127.0.0.1:${await port()}` });
  await here.events.waitForStatus("active");
  assertEquals(await here.execute("migrate-start-postcopy"), {});
  const bothAre = (status: string) =>
    Promise.all([here, there].map((end) => end.events.waitForStatus(status)));
  await bothAre("postcopy-active");
  await assertRejects(() => here.execute("migrate_cancel"), Error, "postcopy-active");
  for (const end of [here, there]) {
    assertEquals(await end.execute("migrate-pause", {}, "exec-oob"), {});
    await bothAre("postcopy-paused");
    assertEquals(await here.execute("query-status"), { status: "finish-migrate", running: false });
    assertEquals(await there.execute("query-status"), { status: "running", running: true });
    await there.execute("migrate-recover", { uri: "tcp:127.0.0.1:0" }, "exec-oob");
    await here.execute("migrate", { uri: `tcp:127.0.0.1:${await port()}`, resume: true });
    await bothAre("postcopy-active");
  }
  await here.execute("migrate-set-parameters", { "max-postcopy-bandwidth": 0 });
  await bothAre("completed");
});

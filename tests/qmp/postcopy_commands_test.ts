import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { StateError } from "../../src/errors.ts";
import { postcopyCommands } from "../../src/qmp/postcopy_commands.ts";

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

import { assertEquals } from "@std/assert";
import { ImageTarget } from "../../src/control/image_target.ts";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { runStateOf } from "../../src/qmp/run_state.ts";
import { formatUri } from "../../src/transport/uri.ts";
import { Pair } from "../control/fixtures/pair.ts";
import { smallMachine } from "./fixtures/served.ts";

const quit = () => {};

Deno.test("A machine's run state is its own", async () => {
  await using machine = await smallMachine(false);
  const target = { control: machine.control, machine, quit };
  assertEquals(runStateOf(target), "prelaunch");
  await machine.start();
  assertEquals(runStateOf(target), "running");
});

Deno.test("What can only arrive is awaited until it is here", async () => {
  await using pair = await Pair.create();
  const machine = pair.destination;
  const control = new MigrationControl({ target: () => new MachineTarget(machine) });
  assertEquals(runStateOf({ control, quit }), "inmigrate");
  assertEquals(runStateOf({ control, machine, quit }), "inmigrate");
  const incoming = control.migrateIncoming("tcp:127.0.0.1:0");
  const outgoing = pair.send(formatUri(await incoming.listening));
  await Promise.all([incoming.completed, outgoing.completed]);
  assertEquals(runStateOf({ control, machine, quit }), "running");
});

Deno.test("An image stands still: it waits to arrive, is here, or has been sent", async () => {
  await using pair = await Pair.create();
  const control = new MigrationControl({ target: () => new ImageTarget(() => Promise.resolve()) });
  const incoming = control.migrateIncoming("tcp:127.0.0.1:0");
  assertEquals(runStateOf({ control, quit }), "inmigrate");
  const outgoing = pair.send(formatUri(await incoming.listening));
  await Promise.all([incoming.completed, outgoing.completed]);
  assertEquals(runStateOf({ control, quit }), "paused");
  assertEquals(runStateOf({ control: new MigrationControl({}), quit }), "paused");
});

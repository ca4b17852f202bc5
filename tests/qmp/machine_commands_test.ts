import "../support/load_libc.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { MachineTarget } from "../../src/control/machine_target.ts";
import { MigrationControl } from "../../src/control/migration_control.ts";
import { Machine } from "../../src/machine/machine.ts";
import type { Command } from "../../src/qmp/command.ts";
import { machineCommands } from "../../src/qmp/machine_commands.ts";
import { QmpError } from "../../src/qmp/qmp_error.ts";
import { smallMachine } from "./fixtures/served.ts";

const quit = () => {};

/** Runs a command, whether it throws or rejects. */
async function run(commands: Record<string, Command>, name: string, args = {}): Promise<unknown> {
  return await commands[name]!.run(args);
}

Deno.test("stop and cont stop the machine and let it run, as often as they are asked", async () => {
  await using machine = await smallMachine(false);
  const commands = machineCommands({ control: machine.control, machine, quit }, quit);
  const status = () => run(commands, "query-status");
  assertEquals(await run(commands, "stop"), {});
  assertEquals(await status(), { status: "prelaunch", running: false });
  assertEquals(await run(commands, "cont"), {});
  assertEquals(await run(commands, "cont"), {});
  assertEquals(await status(), { status: "running", running: true });
  assertEquals(await run(commands, "stop"), {});
  assertEquals(await run(commands, "stop"), {});
  assertEquals(await status(), { status: "paused", running: false });
});

Deno.test("query-uuid shows which machine it is", async () => {
  const uuid = "6d2c1b3a-5f4e-4d6c-8b7a-0123456789ab";
  await using machine = await Machine.create({ name: "known", ram: { ram: 4096 }, uuid });
  const commands = machineCommands({ control: new MigrationControl({}), machine, quit }, quit);
  assertEquals(await run(commands, "query-uuid"), { UUID: uuid });
});

Deno.test("Of a machine that has not arrived it can be said whether it will run", async () => {
  await using machine = await smallMachine(false);
  const control = new MigrationControl({ target: () => new MachineTarget(machine) });
  const commands = machineCommands({ control, machine, quit }, quit);
  assertEquals(await run(commands, "query-status"), { status: "inmigrate", running: false });
  assertEquals(await run(commands, "cont"), {});
  await assertRejects(() => run(commands, "stop"), QmpError, "The machine has not arrived");
  const { arrival } = machine;
  const told = machineCommands({ control, machine, quit, arrival }, quit);
  assertEquals(await run(told, "stop"), {});
  assertEquals(arrival, { startsRunning: false });
  assertEquals(await run(told, "cont"), {});
  assertEquals(arrival, { startsRunning: true });
  assertEquals(machine.runState, "prelaunch");
});

Deno.test("An image cannot run", async () => {
  const commands = machineCommands({ control: new MigrationControl({}), quit }, quit);
  assertEquals(await run(commands, "stop"), {});
  await assertRejects(() => run(commands, "cont"), QmpError, "it is an image");
  assertEquals(await run(commands, "query-name"), {});
  assertEquals(await run(commands, "query-cpus-fast"), []);
});

Deno.test("The machine is described in QEMU's shapes", async () => {
  await using machine = await Machine.create({
    name: "two",
    ram: { ram: 64 * 4096 },
    vcpus: ["beat", "beat"],
  });
  const commands = machineCommands({ control: new MigrationControl({}), machine, quit }, quit);
  assertEquals(await run(commands, "query-name"), { name: "two" });
  assertEquals(await run(commands, "query-uuid"), { UUID: "00000000-0000-0000-0000-000000000000" });
  const vcpus = (threads: readonly number[]) =>
    threads.map((thread, index) => ({
      "cpu-index": index,
      "qom-path": `/machine/vcpu[${index}]`,
      "thread-id": thread,
      target: "wasm32",
    }));
  assertEquals(await run(commands, "query-cpus-fast"), vcpus([Deno.pid, Deno.pid]));
  await machine.start();
  const threads = [0, 1].map((vcpu) => machine.presence.threadOf(vcpu));
  assertEquals(await run(commands, "query-cpus-fast"), vcpus(threads));
  const { stdout } = await new Deno.Command("ls", { args: [`/proc/${Deno.pid}/task`] }).output();
  const ours = new TextDecoder().decode(stdout).trim().split("\n").map(Number);
  assert(threads.every((thread) => thread !== Deno.pid && ours.includes(thread)), `${threads}`);
  assert(threads[0] !== threads[1]);
});

Deno.test("announce-self wants its four numbers, and then nothing happens", async () => {
  const commands = machineCommands({ control: new MigrationControl({}), quit }, quit);
  const args = { initial: 50, max: 550, rounds: 5, step: 50 };
  assertEquals(await run(commands, "announce-self", args), {});
  assertEquals(await run(commands, "announce-self", { ...args, interfaces: ["a"], id: "x" }), {});
  await assertRejects(
    () => run(commands, "announce-self", { ...args, step: undefined }),
    QmpError,
    "Parameter 'step' is missing",
  );
});

Deno.test("quit asks for the end", async () => {
  let asked = 0;
  const commands = machineCommands({ control: new MigrationControl({}), quit }, () => asked++);
  assertEquals(await run(commands, "quit"), {});
  assertEquals(asked, 1);
});

import { assertEquals, assertThrows } from "@std/assert";
import { MachineLog } from "../../src/control/machine_log.ts";
import { SettingError } from "../../src/errors.ts";
import { Machine } from "../../src/machine/machine.ts";
import "../support/load_libc.ts";

const machine = (vcpus: string[] = []) =>
  Machine.create({ name: "m", ram: { ram: 64 * 4096 }, vcpus });

Deno.test("MachineLog sees what is written while it runs", async () => {
  await using made = await machine();
  const log = new MachineLog(made);
  log.requireMeasuring();
  await log.start();
  made.ram.blocks[0]!.view(5 * 4096, 1)[0] = 1;
  assertEquals(await log.sync(), 1);
  await log.stop();
  await log.stop();
});

Deno.test("MachineLog lets guests mark what they write, for as long as it runs", async () => {
  await using made = await machine(["beat"]);
  await made.start();
  const marks = () => made.vcpus[0]!.order.marks;
  const log = new MachineLog(made, "barrier");
  assertEquals(marks(), false);
  await log.start();
  assertEquals(marks(), true);
  await log.stop();
  assertEquals(marks(), false);
});

Deno.test("MachineLog refuses to measure with digests, which nobody takes without a migration", async () => {
  await using made = await machine();
  const error = assertThrows(
    () => new MachineLog(made, "hash").requireMeasuring(),
    SettingError,
    "hash",
  );
  assertEquals(error.advice, "Measure by page-sampling.");
});

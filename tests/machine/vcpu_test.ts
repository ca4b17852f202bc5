import { assertEquals, assertRejects } from "@std/assert";
import { GuestError, IncompatibleError, StateError } from "../../src/errors.ts";
import { verifyRam } from "../../src/machine/verify/ram_check.ts";
import { createMachine, fixture, wordsOf } from "./fixtures/small_machine.ts";
import { until } from "./fixtures/until.ts";

Deno.test("Vcpu.load() puts a guest that has run back", async () => {
  await using machine = await createMachine([fixture("counting_guest")]);
  const [vcpu] = machine.vcpus;
  await machine.start();
  await until(() => machine.counters.steps > 10);
  await machine.stop();
  const state = vcpu!.state();
  const steps = wordsOf(machine)[0]!;
  await machine.start();
  await until(() => wordsOf(machine)[0]! > steps + 10);
  await machine.stop();
  await vcpu!.load(state);
  assertEquals(vcpu!.state(), state);
  wordsOf(machine)[0] = steps;
  await machine.start();
  await machine.stop();
  assertEquals(new DataView(vcpu!.state().buffer).getUint32(1), wordsOf(machine)[0]);
});

Deno.test("Vcpu.state() of a guest that never ran makes another one that never ran", async () => {
  await using source = await createMachine(["beat"]);
  await using target = await createMachine(["beat"]);
  assertEquals(source.vcpus[0]!.state(), Uint8Array.of(0));
  await target.vcpus[0]!.load(source.vcpus[0]!.state());
  assertEquals(target.vcpus[0]!.begun, false);
  assertEquals(await verifyRam(target), undefined);
});

Deno.test("Vcpu.load() refuses what is no state of its guest", async () => {
  await using machine = await createMachine(["beat"]);
  const [vcpu] = machine.vcpus;
  for (const bytes of [[], [2], [0, 0]]) {
    await assertRejects(() => vcpu!.load(Uint8Array.from(bytes)), IncompatibleError);
  }
  await assertRejects(
    () => vcpu!.load(Uint8Array.of(1, 2, 3)),
    IncompatibleError,
    'is one of guest "", not "beat',
  );
});

Deno.test("Vcpu.state() refuses a vCPU that runs", async () => {
  await using machine = await createMachine(["beat"]);
  await machine.start();
  const error = await assertRejects(() => verifyRam(machine), StateError);
  assertEquals(error.message, "vCPU 0 is not paused");
  await machine.stop();
  machine.throttle(10);
  assertEquals(await verifyRam(machine), undefined);
});

Deno.test("A guest that does not take its state says so", async () => {
  await using machine = await createMachine([fixture("failing_guest")]);
  await assertRejects(
    () => machine.vcpus[0]!.load(Uint8Array.of(1)),
    GuestError,
    "Guest failing_guest.ts on vCPU 0 could not go on from its state: RangeError: in load",
  );
});

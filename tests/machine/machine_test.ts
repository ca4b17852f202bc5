import { assert, assertEquals, assertRejects } from "@std/assert";
import { GuestError, StateError, UsageError } from "../../src/errors.ts";
import { Machine, type RunStateChange } from "../../src/machine/machine.ts";
import { digestRam, verifyRam } from "../../src/machine/verify/ram_check.ts";
import { createMachine, fixture, PAGE, wordsOf } from "./fixtures/small_machine.ts";
import { until } from "./fixtures/until.ts";

Deno.test("Machine pauses and goes on thousands of times and loses no step", async () => {
  await using machine = await createMachine([fixture("counting_guest"), fixture("counting_guest")]);
  const words = wordsOf(machine);
  const savedSteps = () =>
    machine.vcpus.map((vcpu) => new DataView(vcpu.state().buffer).getUint32(1));
  for (let i = 0; i < 2000; i++) {
    await machine.start();
    await machine.stop();
    const inRam = [...words.subarray(0, 2)];
    assertEquals(savedSteps(), inRam);
    if (i % 100 === 0) {
      // Nothing of a paused vCPU runs, however long it is looked at.
      await new Promise((resolve) => setTimeout(resolve, 1));
      assertEquals([...words.subarray(0, 2)], inRam);
    }
  }
  assertEquals(machine.counters.steps, words[0]! + words[1]!);
  assert(words[0]! > 0 && words[1]! > 0);
});

Deno.test("Machine.start() begins a guest on another machine where its state says", async () => {
  await using source = await createMachine(["stress,rate=max", "beat,rate=max"]);
  await using target = await createMachine(["stress,rate=max", "beat,rate=max"]);
  await source.start();
  await until(() => source.counters.pages > 300);
  await source.stop("finish-migrate");
  source.ram.blocks.forEach((block, i) =>
    target.ram.blocks[i]!.view(0, block.length).set(block.view(0, block.length))
  );
  await Promise.all(source.vcpus.map((vcpu, i) => target.vcpus[i]!.load(vcpu.state())));
  assertEquals(await digestRam(target.ram), await digestRam(source.ram));
  assertEquals(await verifyRam(target), undefined);

  await target.start();
  await until(() => target.counters.pages > 300);
  await target.stop();
  assertEquals(await verifyRam(target), undefined);
  assertEquals(await verifyRam(source), undefined);
});

Deno.test("Machine.stop() waits for a step that takes long", async () => {
  await using machine = await createMachine([fixture("waiting_guest")]);
  const words = wordsOf(machine);
  await machine.start();
  await until(() => Atomics.load(words, 0) === 1);
  let isStopped = false;
  const stopping = machine.stop().then(() => isStopped = true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals([isStopped, machine.runState], [false, "running"]);
  Atomics.store(words, 1, 1);
  await stopping;
  assertEquals(machine.runState, "paused");
});

Deno.test("Machine ends although a guest never returns from its step", async () => {
  const machine = await createMachine([fixture("waiting_guest"), "beat"]);
  await machine.start();
  await until(() => Atomics.load(wordsOf(machine), 0) === 1);
  const stopping = assertRejects(() => machine.stop(), StateError, "vCPU 0 has ended");
  await until(() => machine.vcpus[0]!.order.command === "pause");
  await machine[Symbol.asyncDispose]();
  await stopping;
  await assertRejects(() => machine.start(), StateError, "Machine test has ended");
  Atomics.store(wordsOf(machine), 1, 1);
});

for (
  const [where, words] of [
    ["making", "Guest failing_guest.ts on vCPU 0 could not start: RangeError: in making"],
    ["step", "Guest failing_guest.ts on vCPU 0 failed: RangeError: in a step"],
    ["promise", "Guest failing_guest.ts on vCPU 0 failed: RangeError: in a promise"],
    ["save", "Guest failing_guest.ts on vCPU 0 failed: RangeError: in save"],
    ["timer", "Guest failing_guest.ts on vCPU 0 failed: RangeError: in a timer"],
  ] as const
) {
  Deno.test(`A guest that throws ends its machine's run with a GuestError: in ${where}`, async () => {
    await using machine = await createMachine([fixture("failing_guest"), "beat"], { where });
    const starting = machine.start().catch((error) => error);
    const error = await assertRejects(() => machine.failed, GuestError);
    assertEquals(error.message, words);
    await starting;
    await until(() => machine.runState === "internal-error");
    await assertRejects(() => machine.start(), GuestError);
    await assertRejects(() => machine.stop(), GuestError);
    // The others stand still.
    const { steps } = machine.vcpus[1]!.counters;
    await new Promise((resolve) => setTimeout(resolve, 5));
    assertEquals(machine.vcpus[1]!.counters.steps, steps);
  });
}

Deno.test("Machine.create() refuses guests that cannot be loaded, and leaves nothing behind", async () => {
  await assertRejects(() => createMachine(["beat", "cat"]), UsageError, 'Guest "cat" is not known');
  await assertRejects(
    () => createMachine(["beat", fixture("no_guest")]),
    GuestError,
    "Guest no_guest.ts on vCPU 1 could not be loaded: The guest's module has no function",
  );
  await assertRejects(
    () => createMachine(["/nowhere/guest.wasm"]),
    GuestError,
    "Guest guest.wasm on vCPU 0 could not be loaded: NotFound",
  );
  await assertRejects(() => createMachine(["beat"], { uncloneable: () => {} }), DOMException);
});

Deno.test("Machine adopts an existing memory", async () => {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true });
  await using machine = await Machine.create({ name: "adopted", ram: { heap: memory } });
  assertEquals(machine.ram.length, 131072);
  assertEquals(machine.ram.memories, [memory]);
  await machine.start();
  await machine.stop();
});

Deno.test("Machine.onRunState() is told in order: before a stop, after anything else", async () => {
  await using machine = await createMachine([fixture("counting_guest")]);
  const told: string[] = [];
  const remove = machine.onRunState(async ({ from, to }: RunStateChange) => {
    await Promise.resolve();
    const before = machine.counters.steps;
    if (from === "running") await until(() => machine.counters.steps > before);
    told.push(`${from} ${to} in ${machine.runState}`);
  });
  await machine.start();
  await machine.start();
  await machine.stop();
  await machine.stop("finish-migrate");
  await machine.stop("postmigrate");
  remove();
  await machine.start();
  assertEquals(told, [
    "prelaunch running in running",
    "running paused in running",
    "paused finish-migrate in finish-migrate",
    "finish-migrate postmigrate in postmigrate",
  ]);
});

Deno.test("Machine.stop() leaves the machine running when a listener throws, and takes it back", async () => {
  await using machine = await createMachine(["beat"]);
  const told: string[] = [];
  machine.onRunState(({ from, to }) => void told.push(`${from} ${to}`));
  const remove = machine.onRunState(({ to }) => {
    if (to === "paused") throw new TypeError("not now");
  });
  machine.onRunState(({ from, to }) => void told.push(`never ${from} ${to}`));
  await machine.start();
  told.length = 0;
  await assertRejects(() => machine.stop(), TypeError, "not now");
  assertEquals(machine.runState, "running");
  assertEquals(told, ["running paused", "paused running"]);
  const { steps } = machine.counters;
  await until(() => machine.counters.steps > steps);
  remove();
  await machine.stop();
});

Deno.test("Machine takes starts and stops in turn, and refuses what may not follow", async () => {
  await using machine = await createMachine(["beat"]);
  await assertRejects(
    () => machine.stop("postmigrate"),
    StateError,
    "from prelaunch to postmigrate",
  );
  await Promise.all([machine.start(), machine.stop(), machine.start(), machine.stop()]);
  assertEquals(machine.runState, "paused");
  await assertRejects(() => machine.stop("inmigrate"), StateError);
  await machine.start();
  await assertRejects(() => machine.stop("postmigrate"), StateError);
  assertEquals(machine.running, true);
});

Deno.test("Machine.setChecks() makes guests mark what they write from then on", async () => {
  await using machine = await createMachine(["beat,rate=max", fixture("counting_guest")]);
  const heap = machine.ram.blocks[0]!;
  await machine.setChecks({ marks: true });
  await machine.setChecks({ marks: false });
  await machine.start();
  await until(() => machine.counters.steps > 100);
  assertEquals(heap.barrier.count(), 0);
  await machine.setChecks({ marks: true });
  const { pages } = machine.counters;
  await until(() => machine.vcpus[1]!.counters.steps > 0 && machine.counters.pages > pages + 200);
  await machine.stop();
  assert(heap.barrier.has(0), "the counter's page");
  assertEquals(heap.barrier.count(), 32, "and all of beat's half");
});

for (const guests of [["beat,rate=max", "stress,rate=max"], ["stress,rate=max,write=word"]]) {
  Deno.test(`Marks are enough to copy RAM while it is written: ${guests.join(" and ")}`, async () => {
    await using source = await createMachine(guests);
    await using target = await createMachine(guests);
    const copyMarked = () => {
      for (const block of source.ram.blocks) {
        for (let page = 0; (page = block.barrier.next(page)) < block.pageCount;) {
          block.barrier.delete(page);
          const bytes = block.view(page * PAGE, PAGE);
          target.ram.blocks[block.index]!.view(page * PAGE, PAGE).set(bytes);
        }
      }
    };
    await source.setChecks({ marks: true });
    await source.start();
    for (let round = 0; round < 5; round++) {
      const { pages } = source.counters;
      await until(() => source.counters.pages > pages + 1000);
      for (let i = 0; i < 50; i++) copyMarked();
    }
    await source.stop("finish-migrate");
    copyMarked();
    await Promise.all(source.vcpus.map((vcpu, i) => target.vcpus[i]!.load(vcpu.state())));
    assertEquals(await verifyRam(target), undefined);
    assertEquals(await digestRam(target.ram), await digestRam(source.ram));
  });
}

import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { createMachine, fixture, wordsOf } from "./fixtures/small_machine.ts";
import { until } from "./fixtures/until.ts";

Deno.test("Machine.throttle() takes time from vCPUs, and gives it back", async () => {
  await using machine = await createMachine(["beat,rate=max", fixture("eventful_guest")]);
  await machine.start();
  assertEquals(machine.counters.throttledTime, 0);
  machine.throttle(80);
  await until(() => machine.vcpus.every((vcpu) => vcpu.counters.throttledTime > 100_000));
  machine.throttle(0);
  await machine.stop();
  const { throttledTime, steps } = machine.counters;
  await machine.start();
  await until(() => machine.counters.steps > steps + 1000);
  assertEquals(machine.counters.throttledTime, throttledTime);
  await machine.stop();
  for (const percent of [-1, 100, 1.5, NaN]) {
    assertThrows(() => machine.throttle(percent), RangeError);
  }
});

Deno.test("Machine.throttle() takes nothing for the time before it", async () => {
  await using machine = await createMachine(["beat,rate=max"]);
  await machine.start();
  const start = performance.now();
  await until(() => performance.now() - start > 500);
  const ran = performance.now() - start;
  const { steps } = machine.counters;
  machine.throttle(90);
  await until(() => machine.counters.steps > steps + 10 && machine.counters.throttledTime > 0);
  // Of what it ran before, a vCPU would have slept nine times as long.
  const { throttledTime } = machine.counters;
  assert(throttledTime < 9 * ran * 1000, `${throttledTime} µs`);
  await machine.stop();
});

Deno.test("Machine.stop() wakes a vCPU that sleeps for its throttle or because it is idle", async () => {
  await using machine = await createMachine(["beat,rate=1", fixture("eventful_guest")], {
    idle: 1e6,
  });
  await machine.start();
  await until(() => machine.vcpus.every((vcpu) => vcpu.counters.steps > 0));
  machine.throttle(99);
  await machine.stop();
  await machine.start();
  await machine.stop();
});

for (const async of ["on", "off"]) {
  for (const idle of [0, 2]) {
    Deno.test(`A module's events have their turns, but none when paused: async ${async}, idle ${idle}`, async () => {
      await using machine = await createMachine([fixture("eventful_guest")], { async, idle });
      const words = wordsOf(machine);
      const { port } = machine.vcpus[0]!;
      const heard = new Promise((resolve) => port.onmessage = ({ data }) => resolve(data));
      await machine.start();
      await until(() => Atomics.load(words, 1) > 20);
      port.postMessage("hello");
      assertEquals(await heard, "hello heard");
      await machine.stop();
      const [steps, ticks, messages] = words;
      port.postMessage("you there");
      await new Promise((resolve) => setTimeout(resolve, 20));
      assertEquals([...words.subarray(0, 3)], [steps!, ticks!, messages!]);
      await machine.start();
      await until(() => Atomics.load(words, 2) === 2);
      await machine.stop();
      assertGreater(machine.counters.steps, 0);
    });
  }
}

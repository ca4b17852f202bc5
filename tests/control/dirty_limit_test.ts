import { assert, assertEquals, assertThrows } from "@std/assert";
import { VcpuDirtyLimit } from "../../src/control/dirty_limit.ts";
import { StateError } from "../../src/errors.ts";
import type { Counter } from "../../src/threads/control_word.ts";

const MB = 1024 ** 2;

/** A vCPU that writes so much a second while it runs, if it says so. */
class Vcpu {
  counters: Record<Counter, number> = { steps: 0, pages: 0, throttledTime: 0, idleTime: 0 };
  percent = 0;

  constructor(readonly rate: number, private readonly tells = true) {}

  throttle(percent: number): void {
    this.percent = percent;
  }

  /** Runs for a second. @returns What it wrote, in bytes. */
  run(): number {
    const bytes = this.rate * MB * (100 - this.percent) / 100;
    this.counters = {
      ...this.counters,
      pages: this.counters.pages + (this.tells ? bytes / 4096 : 0),
      throttledTime: this.counters.throttledTime + this.percent * 10_000,
    };
    return bytes;
  }
}

function runFor(limit: VcpuDirtyLimit, vcpus: readonly Vcpu[], seconds: number): void {
  for (let i = 0; i < seconds; i++) {
    limit.observe(vcpus.reduce((sum, vcpu) => sum + vcpu.run(), 0), 1000);
  }
}

Deno.test("VcpuDirtyLimit brings each vCPU to its limit, and leaves who writes less alone", () => {
  const vcpus = [new Vcpu(1000), new Vcpu(50), new Vcpu(800)];
  const limit = new VcpuDirtyLimit(vcpus);
  limit.set(100);
  limit.set(400, 2);
  runFor(limit, vcpus, 10);
  assertEquals(vcpus.map(({ percent }) => percent), [90, 0, 50]);
  assertEquals(limit.query(), [
    { vcpu: 0, limit: 100, current: 100 },
    { vcpu: 1, limit: 100, current: 50 },
    { vcpu: 2, limit: 400, current: 400 },
  ]);
  assertEquals(limit.throttleTimePerRound, 90_000);
});

Deno.test("VcpuDirtyLimit gives back what a higher limit allows, and all of it in the end", () => {
  const vcpus = [new Vcpu(1000)];
  const limit = new VcpuDirtyLimit(vcpus);
  limit.set(100);
  runFor(limit, vcpus, 3);
  limit.set(500);
  runFor(limit, vcpus, 20);
  assert(Math.abs(vcpus[0]!.percent - 50) <= 1, `${vcpus[0]!.percent}`);
  limit.cancel();
  assertEquals([vcpus[0]!.percent, limit.active, limit.query()], [0, false, []]);
});

Deno.test("VcpuDirtyLimit lets a vCPU go that stopped writing", () => {
  const vcpus = [new Vcpu(1000)];
  const limit = new VcpuDirtyLimit(vcpus);
  limit.set(10);
  runFor(limit, vcpus, 2);
  assertEquals(vcpus[0]!.percent, 99);
  for (let i = 0; i < 12; i++) limit.observe(0, 1000);
  assertEquals(vcpus[0]!.percent, 0);
});

Deno.test("VcpuDirtyLimit shares by time where no guest tells what it wrote", () => {
  const vcpus = [new Vcpu(400, false), new Vcpu(400, false)];
  const limit = new VcpuDirtyLimit(vcpus);
  limit.set(100);
  runFor(limit, vcpus, 10);
  assertEquals(vcpus.map(({ percent }) => percent), [75, 75]);
});

Deno.test("VcpuDirtyLimit never stops a vCPU, and looks for a period before it acts", () => {
  const vcpus = [new Vcpu(100_000)];
  const limit = new VcpuDirtyLimit(vcpus);
  limit.set(1);
  limit.period = 100;
  limit.observe(1e9, 50);
  limit.observe(0, 49);
  assertEquals(vcpus[0]!.percent, 0);
  limit.observe(0, 1);
  assertEquals(vcpus[0]!.percent, 99);
  runFor(limit, vcpus, 5);
  assertEquals(vcpus[0]!.percent, 99);
});

Deno.test("VcpuDirtyLimit takes single limits away and says when it is active", () => {
  const limit = new VcpuDirtyLimit([new Vcpu(1), new Vcpu(1)]);
  const after = (change: () => void) => {
    change();
    return limit.active;
  };
  assertEquals(after(() => limit.cancel()), false);
  assertEquals(after(() => limit.set(5, 1)), true);
  assertEquals(after(() => limit.set(6, 0)), true);
  assertEquals(after(() => limit.cancel(1)), true);
  assertEquals(after(() => limit.cancel(1)), true);
  assertEquals(after(() => limit.set(0, 0)), false);
});

Deno.test("VcpuDirtyLimit refuses vCPUs there are not, and limits that are none", () => {
  const limit = new VcpuDirtyLimit([new Vcpu(1)]);
  assertThrows(() => limit.set(5, 1), StateError, "no vCPU 1");
  assertThrows(() => limit.cancel(-1), StateError, "no vCPU -1");
  for (const rate of [-1, 1.5, NaN]) assertThrows(() => limit.set(rate), RangeError);
});

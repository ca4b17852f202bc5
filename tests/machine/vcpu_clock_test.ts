import { assert } from "@std/assert";
import { VcpuClock } from "../../src/machine/vcpu_clock.ts";

Deno.test("VcpuClock.now() does not count the time that was lost", () => {
  const clock = new VcpuClock();
  let lost = 0;
  for (const milliseconds of [0, 2, 10]) {
    const from = performance.now();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
    lost += clock.lose(from);
    const before = performance.now();
    const now = clock.now();
    assert(now >= before - lost && now <= performance.now() - lost);
  }
  assert(lost >= 12);
});

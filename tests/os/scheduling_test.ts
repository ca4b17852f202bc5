import "../support/load_libc.ts";
import { assertEquals } from "@std/assert";
import { libc } from "../../src/os/libc.ts";
import { standBack, takeShortTurns } from "../../src/os/scheduling.ts";

/** What the kernel says of this thread, if it does (`CONFIG_SCHED_DEBUG`). */
function member(name: string): number | undefined {
  try {
    const text = Deno.readTextFileSync("/proc/thread-self/sched");
    const found = new RegExp(`^${name}\\s*:\\s*(\\d+)`, "m").exec(text)?.[1];
    return found === undefined ? undefined : Number(found);
  } catch {
    return undefined;
  }
}

Deno.test({
  name: "takeShortTurns() gives this thread the shortest slice, again and again",
  ignore: libc() === undefined,
  fn() {
    const before = member("se.slice");
    assertEquals([takeShortTurns(), takeShortTurns()], [true, true]);
    const after = member("se.slice");
    // Kernels before Linux 6.12 leave it as it was.
    if (after !== before) assertEquals(after, 100_000);
  },
});

Deno.test({
  name: "standBack() lowers the priority of this thread, and once only",
  ignore: libc() === undefined,
  fn() {
    const before = member("prio");
    assertEquals([standBack(), standBack()], [true, true]);
    if (before !== undefined) assertEquals(member("prio"), Math.max(before, 122));
  },
});

Deno.test({
  name: "Without FFI a thread is scheduled as it was",
  ignore: libc() !== undefined,
  fn: () => assertEquals([takeShortTurns(), standBack()], [false, false]),
});

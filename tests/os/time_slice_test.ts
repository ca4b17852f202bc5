import "../support/load_libc.ts";
import { assertEquals } from "@std/assert";
import { libc } from "../../src/os/libc.ts";
import { takeShortTurns } from "../../src/os/time_slice.ts";

/** The slice of this thread, in nanoseconds, if this kernel says it (`CONFIG_SCHED_DEBUG`). */
function slice(): number | undefined {
  try {
    const text = Deno.readTextFileSync("/proc/thread-self/sched");
    const found = /^se\.slice\s*:\s*(\d+)/m.exec(text)?.[1];
    return found === undefined ? undefined : Number(found);
  } catch {
    return undefined;
  }
}

Deno.test({
  name: "takeShortTurns() gives this thread the shortest slice, again and again",
  ignore: libc() === undefined,
  fn() {
    const before = slice();
    assertEquals([takeShortTurns(), takeShortTurns()], [true, true]);
    const after = slice();
    // Kernels before Linux 6.12 leave it as it was.
    if (after !== before) assertEquals(after, 100_000);
  },
});

Deno.test({
  name: "Without FFI takeShortTurns() does nothing",
  ignore: libc() !== undefined,
  fn: () => assertEquals(takeShortTurns(), false),
});

import "../support/load_libc.ts";
import { assertEquals } from "@std/assert";
import { libc, systemCall } from "../../src/os/libc.ts";
import { standBack, takeShortTurns } from "../../src/os/scheduling.ts";

/** What the kernel says of this thread: its nice, and its slice in nanoseconds, 0 before Linux 6.12. */
function scheduling(): { readonly nice: number; readonly slice: number } {
  const words = new Int32Array(14);
  const address = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(words)));
  const size = BigInt(words.byteLength);
  assertEquals(libc()!.syscall(systemCall("sched_getattr"), 0n, address, size, 0n, 0n, 0n), 0n);
  return { nice: words[4]!, slice: words[6]! };
}

Deno.test({
  name: "takeShortTurns() gives this thread the shortest slice, again and again",
  ignore: libc() === undefined,
  fn() {
    const { nice } = scheduling();
    assertEquals([takeShortTurns(), takeShortTurns()], [true, true]);
    const after = scheduling();
    assertEquals(after, { nice, slice: after.slice === 0 ? 0 : 100_000 });
  },
});

Deno.test({
  name: "standBack() lowers the priority of this thread, and once only",
  ignore: libc() === undefined,
  fn() {
    const { nice, slice } = scheduling();
    assertEquals([standBack(), standBack()], [true, true]);
    assertEquals(scheduling(), { nice: Math.max(nice, 2), slice });
  },
});

Deno.test({
  name: "Without FFI a thread is scheduled as it was",
  ignore: libc() !== undefined,
  fn: () => assertEquals([takeShortTurns(), standBack()], [false, false]),
});

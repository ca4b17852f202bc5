import "../support/load_libc.ts";
import { assert, assertEquals } from "@std/assert";
import { availableMemory } from "../../src/os/available_memory.ts";
import { probeHost } from "../../src/os/probe.ts";

Deno.test({
  name: "availableMemory() is between nothing and all that Deno knows of",
  ignore: probeHost().ffi !== undefined,
  fn() {
    const bytes = availableMemory();
    const { total } = Deno.systemMemoryInfo();
    assert(bytes > 1024 ** 2 && bytes <= total, `${bytes} of ${total}`);
    assertEquals(bytes % 1024, 0);
  },
});

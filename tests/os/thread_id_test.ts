import "../support/load_libc.ts";
import { assertEquals } from "@std/assert";
import { libcProblem } from "../../src/os/libc.ts";
import { threadId } from "../../src/os/thread_id.ts";

Deno.test({
  name: "threadId() is the kernel's number of this thread",
  ignore: libcProblem() !== undefined,
  fn() {
    // Another program looks: Deno itself reads in /proc only with every permission there is.
    const { stdout } = new Deno.Command("ls", { args: [`/proc/${Deno.pid}/task`] }).outputSync();
    const tasks = new TextDecoder().decode(stdout).split("\n");
    assertEquals(tasks.includes(String(threadId())), true);
    assertEquals(threadId(), threadId());
  },
});

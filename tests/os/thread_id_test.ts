import "../support/load_libc.ts";
import { assertEquals } from "@std/assert";
import { libcProblem } from "../../src/os/libc.ts";
import { threadId } from "../../src/os/thread_id.ts";

Deno.test({
  name: "threadId() is the kernel's number of this thread",
  ignore: libcProblem() !== undefined,
  async fn() {
    const tasks: string[] = [];
    for await (const { name } of Deno.readDir("/proc/self/task")) tasks.push(name);
    assertEquals(tasks.includes(String(threadId())), true);
    assertEquals(threadId(), threadId());
  },
});

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UnexpectedStatusError } from "./qmp_events.ts";
import { Ferry, FerryExitedError, readMigrateTask } from "./run_ferry.ts";

const main = new URL("./stand_in_main.ts", import.meta.url).pathname;
const run = (...args: string[]) => new Ferry(args, { main });

Deno.test("readMigrateTask() takes the permissions and the program from deno.json", () => {
  const { flags, main } = readMigrateTask();
  assertEquals(flags[0], "run");
  assert(flags.includes("--no-prompt") && flags.includes("--allow-net"));
  assert(main.endsWith("/src/cli/main.ts"), main);
});

Deno.test("Ferry gives the listening URI, the statuses and the last line", async () => {
  await using ferry = run("receive", "tcp:127.0.0.1:0");
  assertEquals(await ferry.listening(), "tcp:127.0.0.1:41234");
  await ferry.waitForStatus("active");
  await ferry.waitForStatus("completed");
  assertEquals(await ferry.succeeded(), { status: "completed", ram: { total: 1 } });
  assertEquals(ferry.events.names, ["LISTENING", "setup", "active", "completed"]);
});

Deno.test("Ferry.waitForStatus() says what stderr says when the migration fails", async () => {
  await using ferry = run("fail");
  const error = await assertRejects(() => ferry.waitForStatus("completed"), UnexpectedStatusError);
  assertStringIncludes(error.message, "setup, active, failed");
  const { code, result, stderr } = await ferry.finished();
  assertEquals([code, result], [1, { status: "failed" }]);
  assertStringIncludes(stderr, "The other side hung up");
  await assertRejects(() => ferry.succeeded(), FerryExitedError, "The other side hung up");
  assertStringIncludes(ferry.report, "ferry fail (ended): fail --json");
});

Deno.test("Ferry.waitForEvent() fails when the process ends before", async () => {
  await using ferry = run("fail");
  await assertRejects(() => ferry.waitForEvent("RESUME"), FerryExitedError, "status 1");
});

Deno.test("Ferry.succeeded() refuses a line that is no JSON", async () => {
  await using ferry = run("stray");
  await assertRejects(() => ferry.succeeded(), FerryExitedError, "progress: 10 %");
});

Deno.test("Ferry.kill() ends a process that would run on", async () => {
  await using ferry = run("hang");
  await ferry.waitForStatus("active");
  ferry.kill();
  const { signal, result } = await ferry.finished();
  assertEquals([signal, result], ["SIGKILL", undefined]);
});

Deno.test("Ferry is killed when it is disposed of", async () => {
  let ferry;
  {
    await using inner = run("hang");
    await inner.waitForStatus("active");
    ferry = inner;
  }
  assertEquals((await ferry.finished()).signal, "SIGKILL");
});

Deno.test("Ferry without --json keeps the lines for people", async () => {
  await using ferry = new Ferry(["plain"], { main, json: false });
  assertEquals((await ferry.finished()).code, 0);
  assertEquals(ferry.strayLines, ["ready"]);
});

/**
 * `demo`, in its two processes.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { QmpClient } from "../support/qmp_client.ts";
import { Ferry, readMigrateTask } from "../support/run_ferry.ts";
import { ENGINE_FLAGS } from "../../src/cli/demo_process.ts";

for (
  const [what, args] of [
    ["over one channel", []],
    ["over multifd channels", ["-c", "multifd", "-p", "multifd-compression=zstd"]],
    ["with public interfaces only", ["--public-api"]],
    ["with the dirty log hash", ["--dirty-log", "hash"]],
  ] as const
) {
  Deno.test(`demo moves a machine that keeps writing and proves every page, ${what}`, async () => {
    await using ferry = new Ferry(["demo", "--ram", "16M", "--dirty-rate", "8M", ...args]);
    const result = await ferry.succeeded();
    assertEquals([result["status"], result["verified"]], ["completed", true]);
    assertEquals((result["ram"] as Record<string, unknown>)["total"], 16 * 1024 ** 2);
    assertStringIncludes(ferry.stderr, "Verified: each of 4,096 pages");
    assert(ferry.events.names.includes("STOP"));
  });
}

Deno.test("demo's other process runs on the engine as the task does", () => {
  assert(readMigrateTask().flags.includes(ENGINE_FLAGS));
});

Deno.test("demo: Ctrl-C cancels, the guest runs on, and the exit status is 130", async () => {
  // Slow enough to be still at it.
  const args = ["demo", "--ram", "16M", "-p", "max-bandwidth=1M"];
  await using ferry = new Ferry(args);
  await ferry.waitForStatus("active");
  ferry.kill("SIGINT");
  const { code, stderr, result } = await ferry.finished();
  assertEquals([code, result?.["status"]], [130, "cancelled"]);
  assertStringIncludes(stderr, "The guest runs on here");
});

Deno.test("demo in postcopy, its link lost twice: mended by itself, and every page proved", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const uri = `unix:${folder}/qmp`;
    const postcopy = ["-c", "postcopy-ram", "--postcopy-after", "0"];
    const args = ["--ram", "16M", "-p", "max-postcopy-bandwidth=8M", ...postcopy, "--qmp", uri];
    await using ferry = new Ferry(["demo", ...args]);
    await using qmp = await ferry.said("QMP of the source").then(() => QmpClient.connect(uri));
    for (let times = 0; times < 2; times++) {
      await ferry.waitForStatus("postcopy-active");
      await qmp.execute("migrate-pause");
      await ferry.waitForStatus("postcopy-paused");
    }
    const result = await ferry.succeeded();
    assertEquals([result["status"], result["verified"]], ["completed", true]);
    assertEquals(ferry.stderr.split("The connection is mended").length, 3, ferry.stderr);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("demo --qmp: a client drives the source, and quit is as Ctrl-C", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const uri = `unix:${folder}/qmp`;
    const args = ["demo", "--ram", "16M", "-p", "max-bandwidth=1M", "--qmp", uri];
    for (const hurried of [true, false]) {
      await using ferry = new Ferry(args);
      await ferry.waitForStatus("active");
      await using qmp = await QmpClient.connect(uri);
      if (hurried) await qmp.execute("migrate-set-parameters", { "max-bandwidth": 0 });
      else await qmp.execute("quit");
      const { code, result } = await ferry.finished();
      const expected = hurried ? [0, "completed", true] : [130, "cancelled", undefined];
      assertEquals([code, result?.["status"], result?.["verified"]], expected);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

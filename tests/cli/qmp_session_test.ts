/**
 * `--qmp`: two programs that others drive.
 *
 * @module
 */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { JsonObject } from "../support/json.ts";
import { QmpClient, QmpCommandError } from "../support/qmp_client.ts";
import { Ferry } from "../support/run_ferry.ts";

/** A Ferry that serves QMP, and a client of it. */
async function driven(args: readonly string[], socket: string) {
  const ferry = new Ferry([...args, "--qmp", `unix:${socket}`]);
  try {
    await ferry.said(`QMP on unix:${socket}`);
    return { ferry, qmp: await QmpClient.connect(`unix:${socket}`) };
  } catch (error) {
    await ferry[Symbol.asyncDispose]();
    throw error;
  }
}

async function dirtyRateStatus(qmp: QmpClient): Promise<unknown> {
  const { status } = await qmp.execute("query-dirty-rate") as JsonObject;
  return status;
}

Deno.test("--qmp without a URI waits for commands, migrates at them, and stays until quit", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const there = await driven(["receive", "--guest", "beat"], `${folder}/there`);
    await using destination = there.ferry;
    const here = await driven(["send", "--guest", "beat", "--ram", "1M"], `${folder}/here`);
    await using source = here.ferry;
    await using _there = there.qmp;
    await using _here = here.qmp;
    assertEquals(await there.qmp.execute("query-status"), { status: "inmigrate", running: false });
    const measure = { "calc-time": 50, "calc-time-unit": "millisecond" };
    await assertRejects(
      () => there.qmp.execute("calc-dirty-rate", measure),
      QmpCommandError,
      "has not arrived",
    );
    await there.qmp.execute("migrate-incoming", { uri: "tcp:127.0.0.1:0" });
    await here.qmp.execute("migrate", { uri: await destination.listening() });
    await Promise.all([source, destination].map((ferry) => ferry.waitForStatus("completed")));
    await there.qmp.execute("calc-dirty-rate", { ...measure, mode: "dirty-bitmap" });
    while (await dirtyRateStatus(there.qmp) === "measuring");
    assertEquals(await dirtyRateStatus(there.qmp), "measured");
    await there.qmp.execute("set-vcpu-dirty-limit", { "dirty-rate": 5 });
    assertEquals((await there.qmp.execute("query-vcpu-dirty-limit") as unknown[]).length, 1);
    assertEquals(await here.qmp.execute("query-status"), { status: "postmigrate", running: false });
    await destination.waitForEvent("RESUME");
    assertEquals(await there.qmp.execute("query-status"), { status: "running", running: true });
    await here.qmp.execute("quit");
    await there.qmp.execute("quit");
    assertEquals((await source.succeeded())["status"], "completed");
    assertEquals((await destination.succeeded())["status"], "completed");
    assertStringIncludes(source.stderr, "Sent: it is the destination's now");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("--qmp: a machine that has arrived is sent on, and back to where it was", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const first = await driven(["send", "--guest", "beat", "--ram", "1M"], `${folder}/1`);
    const second = await driven(["receive", "--guest", "beat"], `${folder}/2`);
    const third = await driven(["receive", "--guest", "beat", "--ram", "1M"], `${folder}/3`);
    await using _ = new AsyncDisposableStack();
    for (const { ferry, qmp } of [first, second, third]) {
      _.use(ferry);
      _.use(qmp);
    }
    type Driven = typeof first;
    const move = async (from: Driven, to: Driven) => {
      await to.qmp.execute("migrate-incoming", { uri: "tcp:127.0.0.1:0" });
      await from.qmp.execute("migrate", { uri: await to.ferry.listening() });
      for (const { ferry } of [from, to]) await ferry.waitForStatus("completed");
      assertEquals(await from.qmp.execute("query-status"), {
        status: "postmigrate",
        running: false,
      });
      assertEquals(await to.qmp.execute("query-status"), { status: "running", running: true });
    };
    await assertRejects(
      () => second.qmp.execute("migrate", { uri: "tcp:127.0.0.1:1" }),
      QmpCommandError,
      "waiting for an incoming migration",
    );
    await move(first, second);
    await move(second, third);
    await move(third, second);
    for (const { qmp } of [second, third]) await qmp.execute("quit");
    assertEquals((await third.ferry.succeeded())["status"], "completed");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("--qmp with a URI begins at once; a failed migration leaves the guest where it runs", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const args = ["send", `unix:${folder}/nobody`, "--guest", "beat", "--ram", "1M"];
    const here = await driven(args, `${folder}/here`);
    await using source = here.ferry;
    await using _here = here.qmp;
    await source.waitForStatus("failed");
    await source.said("Start the destination first");
    assertEquals(await here.qmp.execute("query-status"), { status: "running", running: true });
    source.kill("SIGINT");
    assertEquals((await source.finished()).code, 130);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("--qmp: after quit the exit status is that of the last migration", async () => {
  const folder = await Deno.makeTempDir();
  try {
    // Nobody was asked to migrate.
    const idle = await driven(["send", "--guest", "beat", "--ram", "1M"], `${folder}/idle`);
    await using _idle = idle.ferry;
    await idle.qmp.execute("quit");
    await idle.ferry.succeeded();

    // It failed; then it was cancelled; then it worked.
    const listener = Deno.listen({ transport: "unix", path: `${folder}/silent` });
    for (const attempts of [["failed"], ["failed", "cancelled"], ["failed", "completed"]]) {
      const here = await driven(["send", "--guest", "beat", "--ram", "1M"], `${folder}/here`);
      await using source = here.ferry;
      await using destination = new Ferry(["receive", "tcp:127.0.0.1:0", "--discard"]);
      const uris: Record<string, string> = {
        failed: `unix:${folder}/nobody`,
        cancelled: `unix:${folder}/silent`,
        completed: await destination.listening(),
      };
      for (const attempt of attempts) {
        await here.qmp.execute("migrate", { uri: uris[attempt]! });
        if (attempt === "cancelled") {
          await source.waitForStatus("active", "setup");
          await here.qmp.execute("migrate_cancel");
        }
        await source.waitForStatus(attempt);
      }
      await here.qmp.execute("quit");
      const { code } = await source.finished();
      assertEquals(code, attempts.at(-1) === "completed" ? 0 : 1, attempts.join());
    }
    listener.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("--qmp: both sides say why a postcopy is paused, and how it goes on; and so it does", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const postcopy = ["--guest", "beat", "-c", "postcopy-ram"];
    const listen = ["receive", "tcp:127.0.0.1:0", ...postcopy];
    const there = await driven(listen, `${folder}/there`);
    await using destination = there.ferry;
    const slow = ["--ram", "4M", "-p", "max-postcopy-bandwidth=100000", "--postcopy-after", "0"];
    const to = await destination.listening();
    const here = await driven(["send", to, ...postcopy, ...slow], `${folder}/here`);
    await using source = here.ferry;
    await source.waitForStatus("postcopy-active");
    await here.qmp.execute("migrate-pause");
    await source.said("migrate-recover there, then migrate with resume=true here");
    assertStringIncludes(
      source.stderr,
      "ferry: The migration was paused (source, in postcopy-active)",
    );
    await destination.said("migrate-recover here, then migrate with resume=true there");

    const again = `unix:${folder}/again`;
    await there.qmp.execute("migrate-recover", { uri: again });
    await here.qmp.execute("migrate-set-parameters", { "max-postcopy-bandwidth": 0 });
    await here.qmp.execute("migrate", { uri: again, resume: true });
    await Promise.all([source, destination].map((ferry) => ferry.waitForStatus("completed")));
    for (const { ferry, qmp } of [here, there]) {
      await qmp.execute("quit");
      await ferry.succeeded();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("--qmp: a quit while a machine is waited for is no success", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const waiting = await driven(["receive", "tcp:127.0.0.1:0", "--discard"], `${folder}/there`);
    await using destination = waiting.ferry;
    await destination.listening();
    await waiting.qmp.execute("quit");
    assertEquals((await destination.finished()).code, 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

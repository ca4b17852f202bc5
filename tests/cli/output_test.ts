import { assertEquals, assertMatch } from "@std/assert";

/** Runs some lines of a program with an `Output`. */
async function output(code: string) {
  const url = new URL("../../src/cli/output.ts", import.meta.url).href;
  const errors = new URL("../../src/errors.ts", import.meta.url).href;
  const program =
    `import { Output } from "${url}"; import { UsageError } from "${errors}"; ${code}`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-lock", `data:text/typescript,${encodeURIComponent(program)}`],
    env: { NO_COLOR: "1" },
  });
  const { stdout, stderr } = await command.output();
  return [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
}

Deno.test("Output: with --json stdout is JSON lines, words go to stderr", async () => {
  const [stdout = "", stderr] = await output(`
    const output = new Output({ json: true, quiet: false });
    output.say("Hello");
    output.event({ event: "MIGRATION", data: { status: "active" } });
    output.result({ status: "completed", "total-time": 5 }, "Done");
  `);
  const [event, result, rest] = stdout.split("\n");
  assertMatch(
    event!,
    /^\{"event":"MIGRATION","data":\{"status":"active"\},"timestamp":\{"seconds":\d+,"microseconds":\d+\}\}$/,
  );
  assertEquals([result, rest], ['{"status":"completed","total-time":5}', ""]);
  assertEquals(stderr, "Hello\nDone\n  time  5 ms\n");
});

Deno.test("Output: without --json stdout is empty; quiet, only warnings are left", async () => {
  const code = `
    output.say("Hello");
    output.progress("active: 1");
    output.event({ event: "STOP" });
    output.failure(new UsageError("This is wrong", { advice: "Do that" }));
    output.result({ status: "failed" }, "Not done");
  `;
  assertEquals(
    await output(`const output = new Output({ json: false, quiet: true }); ${code}`),
    ["", "ferry: This is wrong\n       Do that\n"],
  );
  assertEquals(
    await output(`const output = new Output({ json: false, quiet: false }); ${code}`),
    ["", "Hello\nactive: 1\nferry: This is wrong\n       Do that\nNot done\n"],
  );
});

Deno.test("Output.progress() without a terminal: a line for each status, and now and then", async () => {
  const [, stderr] = await output(`
    const output = new Output({ json: false, quiet: false });
    for (const status of ["setup", "active", "device"]) {
      for (let i = 0; i < 100; i++) output.progress(status + ": " + i);
    }
  `);
  assertEquals(stderr, "setup: 0\nactive: 0\ndevice: 0\n");
});

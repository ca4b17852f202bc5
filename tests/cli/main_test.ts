/**
 * The command line as a user meets it: what it prints and how it ends, in processes of its own.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Ferry } from "../support/run_ferry.ts";

async function run(...args: string[]) {
  await using ferry = new Ferry(args, { json: false });
  const { code, stderr } = await ferry.finished();
  return { code, stderr, stdout: ferry.strayLines };
}

Deno.test("--help shows every command on stdout", async () => {
  const { code, stdout, stderr } = await run("receive", "--help");
  assertEquals([code, stderr], [0, ""]);
  for (const command of ["demo", "send", "receive"]) {
    assertStringIncludes(stdout.join("\n"), `deno task migrate ${command}`);
  }
});

Deno.test("A command line that is not understood ends with status 2, words on stderr and advice", async () => {
  const { code, stdout, stderr } = await run("receive", "tcp:127.0.0.1:0");
  assertEquals([code, stdout], [2, []]);
  assertStringIncludes(stderr, "ferry: Where is the machine to go?");
  assertStringIncludes(stderr, "--save IMAGE");
  const unknown = await run("sned", "tcp:127.0.0.1:1");
  assertEquals(unknown.code, 2);
  assertStringIncludes(unknown.stderr, 'There is no command "sned"');
});

Deno.test("A setting that is refused ends with status 2", async () => {
  const args = ["-c", "multifd", "-c", "xbzrle"];
  const { code, stderr } = await run("receive", "tcp:127.0.0.1:0", "--discard", ...args);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "Multifd is not compatible with xbzrle");
});

Deno.test("A source without a destination fails with status 1 and says what to do; its guest ran on", async () => {
  await using ferry = new Ferry(["send", "tcp:127.0.0.1:1", "--guest", "beat", "--ram", "1M"]);
  const { code, stderr, result } = await ferry.finished();
  assertEquals(code, 1);
  assertEquals(result?.["status"], "failed");
  assertStringIncludes(stderr, "Start the destination first");
  assertStringIncludes(stderr, "The guest runs on here");
  assertEquals(ferry.events.names, ["setup", "failed"]);
});

Deno.test("--quiet says nothing but what went wrong", async () => {
  const quiet = await run("demo", "--ram", "1M", "--quiet");
  assertEquals([quiet.code, quiet.stderr, quiet.stdout], [0, "", []]);
  const failed = await run("send", "tcp:127.0.0.1:1", "--guest", "beat", "--ram", "1M", "--quiet");
  assertEquals(failed.code, 1);
  assert(failed.stderr.startsWith("ferry: Cannot connect"), failed.stderr);
});

/**
 * `send` and `receive` against each other.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Ferry } from "../support/run_ferry.ts";

const guest = ["--guest", "beat", "--ram", "8M"];

Deno.test("send gives a running machine to receive, where it runs until it is told to end", async () => {
  await using destination = new Ferry(["receive", "tcp:127.0.0.1:0", "--guest", "beat"]);
  await using source = new Ferry(["send", await destination.listening(), ...guest]);
  const sent = await source.succeeded();
  assertEquals(sent["status"], "completed");
  await destination.waitForStatus("completed");
  await destination.waitForEvent("RESUME");
  await destination.said("The guest runs on here");
  destination.kill("SIGINT");
  const received = await destination.succeeded();
  assertEquals(received["status"], "completed");
  assertStringIncludes(destination.stderr, "Received ferry (8.00 MiB of RAM): it is running here");
});

Deno.test("receive --run ends by itself", async () => {
  const args = ["receive", "tcp:127.0.0.1:0", "--guest", "beat", "--ram", "8M", "--run", "10ms"];
  await using destination = new Ferry(args);
  await using source = new Ferry(["send", await destination.listening(), ...guest]);
  await Promise.all([source.succeeded(), destination.succeeded()]);
});

Deno.test("kill -9 of the destination in the middle: the source's guest goes on", async () => {
  await using destination = new Ferry(["receive", "tcp:127.0.0.1:0", "--guest", "beat"]);
  const uri = await destination.listening();
  await using source = new Ferry(["send", uri, ...guest, "-p", "max-bandwidth=1M"]);
  await source.waitForStatus("active");
  destination.kill("SIGKILL");
  const { code, stderr, result } = await source.finished();
  assertEquals([code, result?.["status"]], [1, "failed"]);
  assertStringIncludes(stderr, "The guest runs on here");
  assert(/source, in active/.test(stderr), stderr);
});

Deno.test("Two guests that differ do not run each other's machine", async () => {
  await using destination = new Ferry(["receive", "tcp:127.0.0.1:0", "--guest", "stress"]);
  await using source = new Ferry(["send", await destination.listening(), ...guest]);
  const [here, there] = await Promise.all([source.finished(), destination.finished()]);
  assertEquals([here.code, there.code], [1, 1]);
  assertStringIncludes(there.stderr, "The vCPU's state is one of guest \"beat");
  assertStringIncludes(here.stderr, "The destination failed");
});

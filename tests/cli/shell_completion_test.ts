import { assert, assertEquals } from "@std/assert";
import { ShellCompletion } from "../../src/cli/shell_completion.ts";

const completion = new ShellCompletion(["migrate", "migrate-pause", "migrate-continue", "stop"]);

Deno.test("ShellCompletion completes a command's name", () => {
  assertEquals(completion.complete("s"), [["stop "], "s"]);
  assertEquals(completion.complete("migrate-"), [
    ["migrate-pause ", "migrate-continue "],
    "migrate-",
  ]);
  assertEquals(completion.complete("nothing"), [[], "nothing"]);
  assertEquals(completion.complete("")[0].length, 4);
});

Deno.test("ShellCompletion completes arguments and the words they can be", () => {
  assertEquals(completion.complete("migrate r"), [["resume="], "r"]);
  assertEquals(completion.complete("migrate uri=x "), [
    ["uri=", "channels=", "detach=", "resume="],
    "",
  ]);
  assertEquals(completion.complete("migrate resume=t"), [["resume=true "], "resume=t"]);
  const [states, begun] = completion.complete("migrate-continue state=pre");
  assertEquals([states, begun], [["state=pre-switchover "], "state=pre"]);
  assert(completion.complete("migrate-set-parameters max-").at(0)!.includes("max-bandwidth="));
  assertEquals(completion.complete("migrate uri=x"), [[], "uri=x"]);
  assertEquals(completion.complete("stop x"), [[], "x"]);
});

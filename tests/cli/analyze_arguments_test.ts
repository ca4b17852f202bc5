import { assertEquals, assertThrows } from "@std/assert";
import { parseAnalyze } from "../../src/cli/analyze_arguments.ts";
import { UsageError } from "../../src/errors.ts";

Deno.test("parseAnalyze() understands short and long options", () => {
  const none = { memory: false, check: false, forward: false, strict: false, json: false };
  assertEquals(parseAnalyze(["-d", "state", "a", "-m", "-x", "dir"]), {
    ...{ ...none, images: ["a"], dump: "state", memory: true, extract: "dir" },
  });
  assertEquals(parseAnalyze(["--check", "a", "b", "--forward", "--strict", "--json"]), {
    ...{ images: ["a", "b"], dump: undefined, memory: false, extract: undefined },
    ...{ check: true, forward: true, strict: true, json: true },
  });
  assertEquals(parseAnalyze(["-", "7"]).images, ["-", "7"]);
});

for (
  const [args, message] of [
    [[], "One or two images are needed"],
    [["a", "b", "c"], "One or two images are needed"],
    [["a", "-d", "all"], 'nothing called "all"'],
    [["a", "b", "-m"], "are for one"],
    [["-", "-"], "one image, not two"],
    [["a", "-m", "-d", "desc"], "-d desc does not"],
    [["a", "--frobnicate"], "--frobnicate is not known"],
    [["a", "--strict"], "belong to --check"],
    [["--check", "a"], "--check needs two files"],
    [["tcp:1.2.3.4:5", "-x", ""], "needs a value"],
  ] as const
) {
  Deno.test(`parseAnalyze() refuses: ${args.join(" ")}`, () => {
    assertThrows(() => parseAnalyze(args), UsageError, message);
  });
}

/**
 * Tests mirror the source: `src/<room>/<file>.ts` has `tests/<room>/<file>_test.ts`.
 *
 * @module
 */
import { stripTypeScriptTypes } from "node:module";
import { assertEquals } from "@std/assert";
import { codeOf, isGenerated, readSources, type SourceFile } from "./sources.ts";

/** Files whose behaviour is shown elsewhere, and where. */
const SHOWN_ELSEWHERE: Readonly<Record<string, string>> = {
  "src/cli/demo_process.ts": "tests/cli/demo_test.ts",
  "src/cli/demo_destination.ts": "tests/cli/demo_test.ts",
  "src/cli/follow.ts": "tests/cli/demo_test.ts",
};

/** Whether a file only declares: nothing that does something is left of it without its types. */
function onlyDeclares({ text }: SourceFile): boolean {
  const left = stripTypeScriptTypes(text, { mode: "transform" });
  return !/\bfunction\b|\bclass\b|=>/.test(codeOf(left));
}

Deno.test("Every source file that does something has its test file", async () => {
  const tests = new Set((await readSources("tests")).map(({ path }) => path));
  const missing = (await readSources("src"))
    .filter((file) => !isGenerated(file) && !onlyDeclares(file))
    .map(({ path }) => path)
    .filter((path) => !tests.has(path.replace(/^src\//, "tests/").replace(/\.ts$/, "_test.ts")))
    .filter((path) => !(path in SHOWN_ELSEWHERE));
  assertEquals(missing, []);
});

Deno.test("What is shown elsewhere is there, and so is where it is shown", async () => {
  const all = new Set((await readSources("src", "tests")).map(({ path }) => path));
  const named = Object.entries(SHOWN_ELSEWHERE).flat();
  assertEquals(named.filter((path) => !all.has(path)), []);
});

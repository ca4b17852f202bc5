/**
 * Tests mirror the source: `src/<room>/<file>.ts` has `tests/<room>/<file>_test.ts`.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { codeOf, isGenerated, readSources, type SourceFile } from "./sources.ts";

/** Files whose behaviour is shown elsewhere, and where. */
const SHOWN_ELSEWHERE: Readonly<Record<string, string>> = {
  "src/cli/demo_process.ts": "tests/cli/demo_test.ts",
  "src/cli/demo_destination.ts": "tests/cli/demo_test.ts",
  "src/cli/follow.ts": "tests/cli/demo_test.ts",
};

/** Whether a file only declares: interfaces, types, constants. */
function onlyDeclares({ text }: SourceFile): boolean {
  const code = codeOf(text);
  return !/\bfunction\b|\bclass\b|=>/.test(code.replace(/:\s*\([^)]*\)\s*=>/g, ":"));
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

/**
 * What is nowhere but in its place, and what is nowhere.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { codeOf, isGenerated, readSources, readTexts, type SourceFile } from "./sources.ts";

/** The lines that match, as `path:line`. */
function linesWith(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, i) => pattern.test(line) ? [`${path}:${i + 1}: ${line}`] : [])
  );
}

/** The program's code, without comments. */
async function codeOutside(room: string): Promise<SourceFile[]> {
  return (await readSources("src", "workers"))
    .filter(({ path }) => !path.startsWith(room))
    .map(({ path, text }) => ({ path, text: codeOf(text) }));
}

Deno.test("Foreign functions and pointers are in src/os only: everything else runs without them", async () => {
  const pattern = /\bDeno\.(dlopen|Unsafe\w+)/;
  assertEquals(linesWith(await codeOutside("src/os/"), pattern), []);
});

Deno.test("Only the command line speaks to people, reads their settings and ends the process", async () => {
  const pattern = /\bconsole\.|\bDeno\.(stdout|stderr|args|env|exit)\b/;
  assertEquals(linesWith(await codeOutside("src/cli/"), pattern), []);
});

Deno.test("No file knows where somebody's copy of it lies", async () => {
  const pattern = /(^|[^\w.])\/(?:work|root|home|Users)\/\w/;
  assertEquals(linesWith(await readTexts(), pattern), []);
});

Deno.test("Who tells a tool to look away says why", async () => {
  const files = (await readSources("src", "workers", "tests", "bench", "types"))
    .filter((file) => !isGenerated(file));
  const told = /^\s*(?:\/\/|\/\*) *(?:deno-\w+-ignore|deno-coverage-ignore|@ts-[-a-z]+)/;
  const withReason = /(?:ignore[-\w]*(?: [\w-]+)*|@ts-[-a-z]+)(?::| --) \S/;
  assertEquals(linesWith(files, told).filter((line) => !withReason.test(line)), []);
});

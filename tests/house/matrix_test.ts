/**
 * The README's matrix of QEMU's own migration tests says what is so: a path that passes has tests of that
 * name, and a test of such a name has its path there.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ROOT } from "./sources.ts";

/** One path of the matrix. */
interface Row {
  readonly path: string;
  /** What is said of a QEMU as the source, and of a QEMU as the destination. */
  readonly cells: readonly [string, string];
}

/** What a test's name has when a QEMU is the source, and when it is the destination. */
const DIRECTIONS = [/QEMU [\d.]+ → Ferry/, /Ferry → QEMU/] as const;
const ALONE = /: Ferry alone/;

/** Writes the alternatives in braces out: `a{,b}{c,d}` is `ac`, `ad`, `abc` and `abd`. */
function alternatives(text: string): string[] {
  const first = /^(.*?)\{([^{}]*)\}(.*)$/s.exec(text);
  if (!first) return [text];
  const [, before = "", inside = "", after = ""] = first;
  return inside.split(",").flatMap((each) => alternatives(`${before}${each}${after}`));
}

function rowsOf(readme: string): Row[] {
  const section = /^## QEMU's migration-test\n(.*?)^## /ms.exec(readme)?.[1] ?? "";
  const lines = section.split("\n").filter((line) => line.startsWith("| `"));
  return lines.flatMap((line) => {
    const [, paths = "", first = "", second = ""] = line.split("|").map((cell) => cell.trim());
    return [...paths.matchAll(/`([^`]+)`/g)].flatMap(([, text = ""]) => alternatives(text))
      .map((path): Row => ({
        path: path.startsWith("/") ? path : `/migration/${path}`,
        cells: [first, second],
      }));
  });
}

/** What the matrix promises and no test shows. */
function unshown(rows: readonly Row[], names: readonly string[]): string[] {
  return rows.flatMap(({ path, cells }) => {
    const own = names.filter((name) => name.startsWith(`${path}: `));
    return cells.flatMap((cell, i) => {
      if (!cell.startsWith("passes")) return [];
      const wanted = cell.includes("alone") ? ALONE : DIRECTIONS[i]!;
      return own.some((name) => wanted.test(name)) ? [] : [`${path}: ${wanted}`];
    });
  });
}

/** Which tests have a name of QEMU's whose path is not in the matrix. */
function unlisted(rows: readonly Row[], names: readonly string[]): string[] {
  const known = new Set(rows.map(({ path }) => path));
  return names.filter((name) => /^\/\w+/.test(name)).map((name) => name.split(": ")[0]!)
    .filter((path) => !known.has(path));
}

const rows = rowsOf(await Deno.readTextFile(new URL("README.md", ROOT)));

async function interopNames(): Promise<string[]> {
  const script = new URL("./interop_names.ts", import.meta.url).pathname;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--quiet", "--allow-all", script],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("The matrix and the tests with real QEMUs know the same of QEMU's paths", async () => {
  const names = await interopNames();
  assertEquals(unshown(rows, names), []);
  assertEquals(unlisted(rows, names), []);
});

Deno.test("The matrix has each path once", () => {
  const paths = rows.map(({ path }) => path);
  assert(paths.length > 60);
  assertEquals(paths.filter((path, i) => paths.indexOf(path) !== i), []);
});

Deno.test("A path without its test, and a test without its path, are found", () => {
  const [row] = rowsOf("## QEMU's migration-test\n| `a{,/b}` | passes | no: why |\n## ");
  assertEquals(row, { path: "/migration/a", cells: ["passes", "no: why"] });
  assertEquals(unshown([row!], ["/migration/a: QEMU 10.0 → Ferry"]), []);
  for (const name of ["/migration/a: Ferry → QEMU 10.0", "/migration/a/b: QEMU 10.0 → Ferry"]) {
    assertThrows(() => assertEquals(unshown([row!], [name]), []));
  }
  assertEquals(unlisted([row!], ["/migration/c: QEMU 10.0 → Ferry", "Other"]), ["/migration/c"]);
});

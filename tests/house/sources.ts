/**
 * The project's own files, as the rules of the house look at them.
 *
 * @module
 */

/** The repository's root. */
export const ROOT = new URL("../../", import.meta.url);

/** One file of the project. */
export interface SourceFile {
  /** From the root: `src/wire/section.ts`. */
  readonly path: string;
  /** Its whole text. */
  readonly text: string;
}

/** Reads all TypeScript files below some folders, in order. */
export async function readSources(...folders: string[]): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const folder of folders) await collect(`${folder}/`, files);
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

async function collect(folder: string, files: SourceFile[]): Promise<void> {
  for await (const entry of Deno.readDir(new URL(folder, ROOT))) {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory) await collect(`${path}/`, files);
    else if (path.endsWith(".ts")) {
      files.push({ path, text: await Deno.readTextFile(new URL(path, ROOT)) });
    }
  }
}

/** Reads the texts of the whole repository, whatever they are; not what tests have as data. */
export async function readTexts(folder = ""): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(`./${folder}`, ROOT))) {
    const path = `${folder}${name}`;
    if (isDirectory && !NO_TEXTS.has(name)) files.push(...await readTexts(`${path}/`));
    else if (TEXT.test(name)) {
      files.push({ path, text: await Deno.readTextFile(new URL(path, ROOT)) });
    }
  }
  return files;
}

const NO_TEXTS = new Set([".git", ".ci", "node_modules", "coverage", "golden"]);
const TEXT = /\.(ts|js|json|md|yml|yaml|toml|wat|sh|html|svg)$/;

/** Whether a tool made the file. */
export function isGenerated({ path }: SourceFile): boolean {
  return path.endsWith(".wasm.ts");
}

/** Which room of `src/` a path is in; files that lie there directly are rooms of their own. */
export function roomOf(path: string): string {
  const [, room = ""] = path.split("/");
  return room.replace(/\.ts$/, "");
}

/** What a file imports from the project: paths from the root, and whether only for types. */
export function importsOf({ path, text }: SourceFile): { path: string; typeOnly: boolean }[] {
  const here = new URL(path, ROOT);
  const found = [...text.matchAll(IMPORT)].map(({ groups }) => ({
    to: groups!["to"]!,
    typeOnly: groups!["type"] !== undefined || onlyTypes(groups!["names"] ?? ""),
  }));
  return found.filter(({ to }) => to.startsWith(".")).map(({ to, typeOnly }) => ({
    path: new URL(to, here).href.slice(ROOT.href.length),
    typeOnly,
  }));
}

const IMPORT =
  /^(?:import|export)\s+(?<type>type\s)?(?:(?<names>[^;"']*?)\sfrom\s+)?["'](?<to>[^"']+)["']/gm;

function onlyTypes(names: string): boolean {
  const list = /\{(.*)\}/s.exec(names)?.[1];
  if (list === undefined) return false;
  const each = list.split(",").map((name) => name.trim()).filter(Boolean);
  return each.length > 0 && each.every((name) => name.startsWith("type "));
}

/** The text without comments. */
export function codeOf(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " "))
    .replace(/(^|[^:"'`])\/\/.*$/gm, "$1");
}

/**
 * Imports point one way: from the rooms that decide to the rooms that know less.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { importsOf, readSources, roomOf } from "./sources.ts";

/** Each level's rooms import from their own level and from those below it. */
const LEVELS: readonly (readonly string[])[] = [
  ["cli", "qmp"],
  ["control", "analyze"],
  ["savevm", "ram", "postcopy", "multifd", "mapped_ram", "bitmap", "image"],
  ["batch", "dirty", "vmstate"],
  ["machine"],
  ["threads", "transport", "os", "wire", "kernels", "errors"],
];

/** Rooms that can be taken out and used for something else: all they may import. */
const APART: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  kernels: [],
  os: ["errors"],
  wire: ["errors"],
  threads: ["errors", "wire"],
  transport: ["errors", "wire", "os", "threads"],
  vmstate: ["errors", "wire"],
};

interface Arrow {
  readonly from: string;
  readonly to: string;
  /** The file that imports, and what. */
  readonly words: string;
}

async function arrowsOf(...folders: string[]): Promise<Arrow[]> {
  return (await readSources(...folders)).flatMap((file) =>
    importsOf(file).map(({ path }) => ({
      from: roomOf(file.path),
      to: path.startsWith("src/") ? roomOf(path) : path,
      words: `${file.path} imports ${path}`,
    }))
  ).filter(({ from, to }) => from !== to);
}

function wordsOf(arrows: readonly Arrow[]): string[] {
  return arrows.map(({ words }) => words);
}

const arrows = await arrowsOf("src");
const levelOf = (room: string) => LEVELS.findIndex((rooms) => rooms.includes(room));

Deno.test("Every room has its level", async () => {
  const rooms = new Set((await readSources("src")).map(({ path }) => roomOf(path)));
  assertEquals([...rooms].filter((room) => levelOf(room) < 0), []);
});

Deno.test("No room imports from a room above it, nor from outside of src/", () => {
  assertEquals(wordsOf(arrows.filter(({ from, to }) => levelOf(to) < levelOf(from))), []);
});

Deno.test("Rooms that know nothing of migrations import no room that does", () => {
  const wrong = arrows.filter(({ from, to }) => APART[from] && !APART[from].includes(to));
  assertEquals(wordsOf(wrong), []);
});

Deno.test("No rooms import each other in a circle", () => {
  const left = new Map<string, Set<string>>();
  for (const { from, to } of arrows) {
    if (!left.has(from)) left.set(from, new Set());
    left.get(from)!.add(to);
  }
  // Rooms that import none that is left are in no circle.
  for (let before = -1; before !== left.size;) {
    before = left.size;
    for (const [room, others] of left) {
      if (![...others].some((other) => left.has(other))) left.delete(room);
    }
  }
  assertEquals([...left.keys()], []);
});

Deno.test("Entry points of threads import from src/ only", async () => {
  const wrong = (await arrowsOf("workers")).filter(({ to }) => levelOf(to) < 0);
  assertEquals(wordsOf(wrong), []);
});

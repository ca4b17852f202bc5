/**
 * Captures the streams of `tests/golden` again: `deno run -A tests/support/capture_golden.ts [NAME...]`.
 *
 * Without names it makes all of them. It needs both QEMUs and, for postcopy and background snapshots, the
 * right to handle page faults of the kernel (root).
 *
 * @module
 */
import { GOLDEN_FOLDER, type GoldenEntry, readGoldenManifest } from "./golden.ts";
import type { Parts } from "./golden_capture.ts";
import { GOLDEN_RECIPES, type GoldenRecipe } from "./golden_recipes.ts";
import { Qemu } from "./qemu.ts";
import { QemuLab } from "./qemu_lab.ts";
import { findQemu } from "./qemu_program.ts";

async function capture(name: string, recipe: GoldenRecipe): Promise<GoldenEntry> {
  await using lab = await QemuLab.open();
  const parts = await recipe.capture(lab, recipe);
  const program = findQemu(recipe.version);
  return {
    about: recipe.about,
    qemu: typeof program === "string" ? "" : program.banner,
    commands: commandsOf(lab),
    parts: await store(name, parts),
  };
}

/** What the QEMUs of a lab were told, without the names of temporary folders. */
function commandsOf(lab: QemuLab): Record<string, string[]> {
  const qemus = lab.resources.filter((resource) => resource instanceof Qemu);
  return Object.fromEntries(qemus.map((qemu) => [
    qemu.name,
    [qemu.commandLine.join(" "), ...qemu.commands].map((line) =>
      line.replaceAll(lab.dir, "$DIR").replaceAll(/[^\s:=]*\/ferry-qemu-\w+/g, "$DIR")
        .replace(/^\S*qemu-system-x86_64( -L \S+)*/, "qemu-system-x86_64")
    ),
  ]));
}

async function store(name: string, parts: Parts): Promise<GoldenEntry["parts"]> {
  const stored: Record<string, GoldenEntry["parts"][string]> = {};
  for (const [part, bytes] of Object.entries(parts)) {
    const file = `${name}.${part}.gz`;
    const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
    await Deno.writeFile(new URL(file, GOLDEN_FOLDER), packed);
    const digest = await crypto.subtle.digest("SHA-256", bytes);
    stored[part] = { file, size: bytes.length, sha256: new Uint8Array(digest).toHex() };
  }
  return stored;
}

if (import.meta.main) {
  const names = Deno.args.length > 0 ? Deno.args : Object.keys(GOLDEN_RECIPES);
  const old = await readGoldenManifest().catch(() => ({}));
  const manifest: Record<string, GoldenEntry> = { ...old };
  for (const name of names) {
    const recipe = GOLDEN_RECIPES[name];
    if (!recipe) throw new RangeError(`No recipe ${name}`);
    manifest[name] = await capture(name, recipe);
    const sizes = Object.entries(manifest[name].parts).map(([part, { size }]) => `${part} ${size}`);
    Deno.stdout.writeSync(new TextEncoder().encode(`${name}: ${sizes.join(", ")}\n`));
    const text = JSON.stringify(manifest, undefined, 2) + "\n";
    await Deno.writeTextFile(new URL("manifest.json", GOLDEN_FOLDER), text);
  }
}

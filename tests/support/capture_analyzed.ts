/**
 * Captures `tests/golden/analyze` again: `FERRY_ANALYZE_SCRIPT=… deno run -A tests/support/capture_analyzed.ts
 * [NAME...]`. For each machine of `analyzed_machines.ts` a stream, and what QEMU's script says of it with `-m`.
 *
 * @module
 */
import { ANALYZED_FOLDER, type AnalyzedEntry, readAnalyzedManifest } from "./analyzed.ts";
import { ANALYZED_MACHINES } from "./analyzed_machines.ts";
import { QemuLab } from "./qemu_lab.ts";
import { findQemu } from "./qemu_program.ts";
import { runQemuScript } from "./qemu_script.ts";
import { saveStream } from "./save_stream.ts";

async function store(file: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  await Deno.writeFile(new URL(file, ANALYZED_FOLDER), packed);
}

async function capture(name: string): Promise<AnalyzedEntry> {
  const machine = ANALYZED_MACHINES[name];
  if (!machine) throw new RangeError(`No machine ${name}`);
  await using lab = await QemuLab.open();
  const { version, target, options } = machine;
  const qemu = await lab.qemu(version, { ...options, target });
  const stream = await saveStream(qemu, lab.dir);
  const image = lab.path("image");
  await Deno.writeFile(image, stream);
  const said = await runQemuScript(image, ["-m"], lab.dir);
  await store(`${name}.stream.gz`, stream);
  await store(`${name}.json.gz`, new TextEncoder().encode(said));
  const program = findQemu(version, target);
  return {
    qemu: typeof program === "string" ? "" : program.banner,
    command: qemu.commandLine.join(" ").replaceAll(lab.dir, "$DIR")
      .replaceAll(/[^\s:=]*\/ferry-qemu-\w+/g, "$DIR")
      .replace(/^\S*(qemu-system-\w+)( -L \S+)*/, "$1"),
    script: "python3 analyze-migration.py -f STREAM -m",
  };
}

if (import.meta.main) {
  const names = Deno.args.length > 0 ? Deno.args : Object.keys(ANALYZED_MACHINES);
  const manifest: Record<string, AnalyzedEntry> = await readAnalyzedManifest().catch(() => ({}));
  for (const name of names) {
    manifest[name] = await capture(name);
    const text = JSON.stringify(manifest, undefined, 2) + "\n";
    await Deno.writeTextFile(new URL("manifest.json", ANALYZED_FOLDER), text);
    Deno.stdout.writeSync(new TextEncoder().encode(`${name}\n`));
  }
}

/**
 * Assembles every `*.wat` of the kernels and of the built-in guests into a `*.wasm.ts` beside it: the
 * module's bytes as base64, so that running Ferry needs no permission to read them and no assembler.
 * `deno task kernels` writes the files; `tests/kernels/build_test.ts` checks that they are those of the
 * sources.
 *
 * @module
 */
import wabt from "wabt";

/** The WebAssembly features that kernels may use; V8 has had them all since 2023. */
const FEATURES = { multi_memory: true, threads: true, simd: true, bulk_memory: true };

/**
 * Assembles one kernel.
 * @param name The file's name without folder and ending.
 * @param source The text of the `.wat`.
 * @returns The text of the `.wasm.ts`.
 */
export async function assembleKernel(name: string, source: string): Promise<string> {
  const assembler = await wabt();
  const module = assembler.parseWat(`${name}.wat`, source, FEATURES);
  const { buffer } = module.toBinary({});
  // The engine validates: the assembler's own validator does not know shared memories.
  new WebAssembly.Module(new Uint8Array(buffer));
  const lines = buffer.toBase64().match(/.{1,94}/g) ?? [];
  return [
    `// Assembled from ${name}.wat by \`deno task kernels\`; change that file instead.`,
    `// deno-fmt-ignore-file`,
    `export const ${camelCase(name)}Wasm: Uint8Array<ArrayBuffer> = Uint8Array.fromBase64(`,
    ...lines.map((line, i) => `  ${i === 0 ? "" : "+ "}"${line}"`),
    `);`,
    ``,
  ].join("\n");
}

/** Where there are sources, seen from this file. */
const FOLDERS = ["./", "../machine/guests/"];

/** A source that was read. */
export interface KernelSource {
  /** The file's name without folder and ending. */
  readonly name: string;
  readonly text: string;
  /** Where its assembled module is. */
  readonly output: URL;
}

/** All sources. */
export async function readKernelSources(): Promise<KernelSource[]> {
  const sources: KernelSource[] = [];
  for (const folder of FOLDERS.map((path) => new URL(path, import.meta.url))) {
    for await (const entry of Deno.readDir(folder)) {
      if (!entry.name.endsWith(".wat")) continue;
      const name = entry.name.slice(0, -".wat".length);
      const text = await Deno.readTextFile(new URL(entry.name, folder));
      sources.push({ name, text, output: new URL(`${name}.wasm.ts`, folder) });
    }
  }
  return sources;
}

function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

if (import.meta.main) {
  for (const { name, text, output } of await readKernelSources()) {
    await Deno.writeTextFile(output, await assembleKernel(name, text));
  }
}

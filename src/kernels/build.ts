/**
 * Assembles every `*.wat` of this folder into a `*.wasm.ts` beside it: the module's bytes as base64,
 * so that running Ferry needs no permission to read them and no assembler. `deno task kernels` writes
 * the files; `tests/kernels/build_test.ts` checks that they are those of the sources.
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

/** The kernels' names and sources. */
export async function readKernelSources(): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  for await (const entry of Deno.readDir(import.meta.dirname!)) {
    if (!entry.name.endsWith(".wat")) continue;
    const source = await Deno.readTextFile(`${import.meta.dirname}/${entry.name}`);
    sources.set(entry.name.slice(0, -".wat".length), source);
  }
  return sources;
}

function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

if (import.meta.main) {
  for (const [name, source] of await readKernelSources()) {
    const text = await assembleKernel(name, source);
    await Deno.writeTextFile(`${import.meta.dirname}/${name}.wasm.ts`, text);
  }
}

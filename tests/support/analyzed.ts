/**
 * Streams of many kinds of machine and what QEMU's script says of them, kept in `tests/golden/analyze`.
 *
 * @module
 */

/** One of them, as `manifest.json` describes it. */
export interface AnalyzedEntry {
  /** What the QEMU that wrote it says of itself. */
  readonly qemu: string;
  /** Its command line. `$DIR` was a temporary folder. */
  readonly command: string;
  /** How the JSON was made, by the script of the same release or a later one. */
  readonly script: string;
}

/** Where they are kept. */
export const ANALYZED_FOLDER = new URL("../golden/analyze/", import.meta.url);

/** All of them by their names. */
export async function readAnalyzedManifest(): Promise<Record<string, AnalyzedEntry>> {
  return JSON.parse(await Deno.readTextFile(new URL("manifest.json", ANALYZED_FOLDER)));
}

/**
 * Reads a stream and what QEMU's script printed of it.
 * @param name The machine's name.
 */
export async function readAnalyzed(
  name: string,
): Promise<{ stream: Uint8Array<ArrayBuffer>; said: string }> {
  const [stream, said] = await Promise.all([
    unpacked(`${name}.stream.gz`),
    unpacked(`${name}.json.gz`),
  ]);
  return { stream, said: new TextDecoder().decode(said) };
}

async function unpacked(file: string): Promise<Uint8Array<ArrayBuffer>> {
  const packed = await Deno.readFile(new URL(file, ANALYZED_FOLDER));
  const bytes = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(bytes).arrayBuffer());
}

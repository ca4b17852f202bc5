/**
 * Streams that real QEMUs wrote, kept in `tests/golden` with the commands that made them.
 *
 * @module
 */

/** One capture, as `manifest.json` describes it. */
export interface GoldenEntry {
  /** What is special about it. */
  readonly about: string;
  /** What the QEMU that wrote it says of itself. */
  readonly qemu: string;
  /** Each process that took part: its command line, then its QMP commands. `$DIR` was a temporary folder. */
  readonly commands: { readonly [name: string]: readonly string[] };
  /** The recorded files or channels by their names, such as `main`, `main.back`, `multifd-0`. */
  readonly parts: {
    readonly [part: string]: {
      /** The file in `tests/golden`, compressed with gzip. */
      readonly file: string;
      /** Its size in bytes, not compressed. */
      readonly size: number;
      /** The digest of what is not compressed, in hexadecimal. */
      readonly sha256: string;
    };
  };
}

/** All captures by their names. */
export interface GoldenManifest {
  readonly [name: string]: GoldenEntry;
}

/** Where captures are kept. */
export const GOLDEN_FOLDER = new URL("../golden/", import.meta.url);

/** What captures there are. */
export async function readGoldenManifest(): Promise<GoldenManifest> {
  return JSON.parse(await Deno.readTextFile(new URL("manifest.json", GOLDEN_FOLDER)));
}

/**
 * Reads one recorded file or channel.
 * @param name The capture, such as `pc-10.0`.
 * @param part Which of its parts. @default {"main"}
 * @returns The bytes as QEMU wrote them.
 * @throws {RangeError} When there is no such capture, with the names of those that exist.
 */
export async function readGolden(name: string, part = "main"): Promise<Uint8Array<ArrayBuffer>> {
  const manifest = await readGoldenManifest();
  const parts = manifest[name]?.parts;
  if (!parts) throw new RangeError(`No golden ${name}; there are ${Object.keys(manifest)}`);
  const found = parts[part];
  if (!found) throw new RangeError(`No ${part} in golden ${name}; there are ${Object.keys(parts)}`);
  const packed = await Deno.readFile(new URL(found.file, GOLDEN_FOLDER));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}

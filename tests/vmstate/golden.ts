/**
 * Device sections of real QEMUs, cut out of their streams: `tests/golden/vmstate/qemu-*.json`, where the
 * command that made them stands, too.
 *
 * @module
 */
import { fromHex } from "./hex.ts";

/** One section. */
export interface GoldenSection {
  readonly idstr: string;
  readonly instanceId: number;
  readonly versionId: number;
  /** The bytes between header and footer. */
  readonly payload: Uint8Array<ArrayBuffer>;
  /** What the JSON description says of it, as QEMU printed it. */
  readonly json: string;
}

/** The QEMUs there are sections of. */
export const GOLDEN_VERSIONS = ["10.0.2", "7.2.22"] as const;

/** Reads all sections of one QEMU. */
export async function goldenSections(
  version: typeof GOLDEN_VERSIONS[number],
): Promise<GoldenSection[]> {
  const text = await Deno.readTextFile(goldenFile(`qemu-${version}.json`));
  const { devices } = JSON.parse(text) as {
    devices: (Omit<GoldenSection, "payload"> & { payload: string })[];
  };
  return devices.map((device) => ({ ...device, payload: fromHex(device.payload) }));
}

/** Reads what a QEMU's `-dump-vmstate` wrote for machine type pc-i440fx-7.2. */
export async function goldenDump(version: typeof GOLDEN_VERSIONS[number]): Promise<string> {
  const file = await Deno.readFile(goldenFile(`dump-${version}.json.gz`));
  const stream = new Blob([file]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(stream).text();
}

function goldenFile(name: string): URL {
  return new URL(`../golden/vmstate/${name}`, import.meta.url);
}

/**
 * Which QEMUs this machine has, and where.
 *
 * Looked at, in this order: `FERRY_QEMU_10` and `FERRY_QEMU_72` (a program, or a folder that packages were
 * unpacked into), the `PATH`, and the folders that `.ci/run` makes, `.ci/qemu-10.0` and `.ci/qemu-7.2`.
 *
 * @module
 */

/** The releases that tests ask for. */
export type QemuVersion = "10.0" | "7.2";

/** A QEMU that can be started. */
export interface QemuProgram {
  readonly version: QemuVersion;
  /** Its path, or its name on `PATH`. */
  readonly path: string;
  /** Arguments that tell it where its firmware is. */
  readonly dataArgs: readonly string[];
  /** What it says of itself. */
  readonly banner: string;
}

const NAME = "qemu-system-x86_64";
const VARIABLES = { "10.0": "FERRY_QEMU_10", "7.2": "FERRY_QEMU_72" } as const;
const REPOSITORY = new URL("../../", import.meta.url).pathname;
/** Where Debian's packages keep firmware, below the folder they are unpacked into. */
const DATA_FOLDERS = ["share/qemu", "share/seabios", "lib/ipxe/qemu"] as const;

const found = new Map<QemuVersion, QemuProgram | string>();

/**
 * Looks for a QEMU.
 * @param version Which release.
 * @returns The program, or why there is none.
 */
export function findQemu(version: QemuVersion): QemuProgram | string {
  let result = found.get(version);
  if (result === undefined) {
    const named = Deno.env.get(VARIABLES[version]);
    const places = named ? [named] : [NAME, `${REPOSITORY}.ci/qemu-${version}`];
    found.set(version, result = searchQemu(version, places));
  }
  return result;
}

/**
 * Looks for a QEMU in some places.
 * @param version Which release.
 * @param places Programs, or folders that packages were unpacked into.
 * @returns The first of that release, or why there is none.
 */
export function searchQemu(version: QemuVersion, places: readonly string[]): QemuProgram | string {
  const met: string[] = [];
  for (const place of places) {
    const path = isFolder(place) ? `${place}/usr/bin/${NAME}` : place;
    const banner = ask(path);
    if (banner?.startsWith(`QEMU emulator version ${version}.`)) {
      return { version, path, dataArgs: dataArgsOf(path), banner };
    }
    met.push(banner === undefined ? `no ${path}` : `${path} is ${banner}`);
  }
  return `QEMU ${version} not found: ${met.join(", ")} (set ${VARIABLES[version]})`;
}

function ask(path: string): string | undefined {
  try {
    const { stdout } = new Deno.Command(path, { args: ["--version"] }).outputSync();
    return new TextDecoder().decode(stdout).split("\n")[0];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** An unpacked QEMU still looks for its firmware where the packages would have been installed. */
function dataArgsOf(path: string): string[] {
  const prefix = /^(.+)\/bin\/[^/]+$/.exec(path)?.[1];
  if (prefix === undefined || prefix === "/usr") return [];
  return DATA_FOLDERS.map((folder) => `${prefix}/${folder}`).filter(isFolder)
    .flatMap((folder) => ["-L", folder]);
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}

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

/** The kinds of machine that tests ask for. */
export type QemuTarget = "x86_64" | "aarch64" | "riscv64";

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

const NAME = "qemu-system-";
const VARIABLES = { "10.0": "FERRY_QEMU_10", "7.2": "FERRY_QEMU_72" } as const;
const REPOSITORY = new URL("../../", import.meta.url).pathname;
/** Where Debian's packages keep firmware, below the folder they are unpacked into. */
const DATA_FOLDERS = ["share/qemu", "share/seabios", "lib/ipxe/qemu"] as const;

const found = new Map<string, QemuProgram | string>();

/**
 * Looks for a QEMU.
 * @param version Which release.
 * @param target Of which machines; the variables name the QEMU of x86, and others are looked for beside it.
 * @returns The program, or why there is none.
 */
export function findQemu(
  version: QemuVersion,
  target: QemuTarget = "x86_64",
): QemuProgram | string {
  const key = `${version} ${target}`;
  let result = found.get(key);
  if (result === undefined) {
    const named = Deno.env.get(VARIABLES[version])?.replace(/x86_64$/, target);
    const places = named ? [named] : [NAME + target, `${REPOSITORY}.ci/qemu-${version}`];
    found.set(key, result = searchQemu(version, places, target));
  }
  return result;
}

/**
 * Looks for a QEMU in some places.
 * @param version Which release.
 * @param places Programs, or folders that packages were unpacked into.
 * @param target Of which machines.
 * @returns The first of that release, or why there is none.
 */
export function searchQemu(
  version: QemuVersion,
  places: readonly string[],
  target: QemuTarget = "x86_64",
): QemuProgram | string {
  const met: string[] = [];
  for (const place of places) {
    const path = isFolder(place) ? `${place}/usr/bin/${NAME}${target}` : place;
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

/**
 * QEMU's own XBZRLE encoder: fetched out of Debian's source package, compiled as QEMU's build does, and
 * loaded into this process. Nothing of it is kept.
 *
 * @module
 */

/** The pieces of the source that are compiled. */
const PIECES = ["migration/xbzrle.c", "migration/xbzrle.h", "util/cutils.c"];
/** What `xbzrle.c` includes of the rest; `shim.h` stands in for all of it. */
const HEADERS = ["qemu/osdep.h", "qemu/cutils.h", "qemu/host-utils.h", "host/cpuinfo.h"];
/** As in QEMU's `meson.build` and its defaults for Linux on x86. */
const FLAGS = [
  "-O2",
  ...["-fno-strict-aliasing", "-fno-common", "-fwrapv", "-fstack-protector-strong"],
  ...["-ftrivial-auto-var-init=zero", "-fzero-call-used-regs=used-gpr"],
  // A library that is loaded, with calls among its own functions as direct as in a program.
  ...["-shared", "-fPIC", "-fvisibility=hidden"],
];
const SOURCES = "deb-src http://deb.debian.org/debian bookworm-backports main";

const FUNCTIONS = {
  encode_pages: {
    parameters: ["pointer", "pointer", "i32", "i32", "buffer", "buffer"],
    result: "void",
  },
  encode_pages_safely: {
    parameters: ["pointer", "pointer", "i32", "i32", "buffer", "buffer", "buffer"],
    result: "void",
  },
  decode_pages: { parameters: ["buffer", "buffer", "i32", "i32", "pointer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions of `driver.c`, and who made their library. */
export interface QemuEncoder {
  readonly functions: Deno.DynamicLibrary<typeof FUNCTIONS>["symbols"];
  /** The compiler's own words for itself. */
  readonly compiler: string;
}

/**
 * Compiles and loads it.
 * @param source Where QEMU's source lies, if it is here already.
 * @throws {Error} If it cannot be had: no source, no compiler.
 */
export async function qemuEncoder(source: string | undefined): Promise<QemuEncoder> {
  const folder = await Deno.makeTempDir({ prefix: "ferry-xbzrle-" });
  try {
    if (source !== undefined) await copyPieces(source, folder);
    else await fetchPieces(folder);
    return await compile(folder);
  } finally {
    // What was loaded stays loaded.
    await Deno.remove(folder, { recursive: true });
  }
}

async function copyPieces(source: string, folder: string): Promise<void> {
  for (const piece of PIECES) {
    await Deno.mkdir(`${folder}/${piece.slice(0, piece.lastIndexOf("/"))}`, { recursive: true });
    await Deno.copyFile(`${source}/${piece}`, `${folder}/${piece}`);
  }
}

/** Gets them with apt-get, whose own lists of packages are left as they are. */
async function fetchPieces(folder: string): Promise<void> {
  await Deno.mkdir(`${folder}/lists/partial`, { recursive: true });
  await Deno.writeTextFile(`${folder}/sources.list`, `${SOURCES}\n`);
  const apt = [
    ...["-q", "-o", `Dir::Etc::SourceList=${folder}/sources.list`],
    ...["-o", "Dir::Etc::SourceParts=/dev/null", "-o", `Dir::State::Lists=${folder}/lists`],
  ];
  await run(folder, "apt-get", [...apt, "update"]);
  await run(folder, "apt-get", [...apt, "source", "--tar-only", "--download-only", "qemu"]);
  const [archive] = [...Deno.readDirSync(folder)].filter(({ name }) => name.includes(".orig.tar"));
  if (!archive) throw new Error("apt-get source qemu: there is no .orig.tar");
  const members = PIECES.map((piece) => `*/${piece}`);
  await run(folder, "tar", [
    ...["-xf", archive.name, "--wildcards", "--strip-components=1"],
    ...members,
  ]);
}

async function compile(folder: string): Promise<QemuEncoder> {
  const here = new URL(".", import.meta.url).pathname;
  for (const header of HEADERS) {
    await Deno.mkdir(`${folder}/include/${header.split("/")[0]}`, { recursive: true });
    await Deno.writeTextFile(`${folder}/include/${header}`, '#include "shim.h"\n');
  }
  // Its lengths' encoding is in a file of its own there too, of which nothing else is needed.
  const utilities = await Deno.readTextFile(`${folder}/util/cutils.c`);
  const lengths = utilities.match(/^int uleb128_\w+\([^]*?^}/gm) ?? [];
  await Deno.writeTextFile(`${folder}/lengths.c`, ['#include "shim.h"', ...lengths].join("\n"));
  await run(folder, "cc", [
    ...FLAGS,
    ...[`-I${folder}`, `-I${folder}/include`, `-I${here}`],
    ...["-o", `${folder}/xbzrle.so`, `${folder}/migration/xbzrle.c`, `${folder}/lengths.c`],
    `${here}driver.c`,
  ]);
  const [compiler] = (await run(folder, "cc", ["--version"])).split("\n");
  const { symbols } = Deno.dlopen(`${folder}/xbzrle.so`, FUNCTIONS);
  return { functions: symbols, compiler: compiler! };
}

/** @returns What it printed. @throws {Error} With its last line, if it fails or is not there. */
async function run(folder: string, program: string, args: readonly string[]): Promise<string> {
  const command = new Deno.Command(program, { args: [...args], cwd: folder });
  const { success, stdout, stderr } = await command.output().catch((error: unknown) => {
    throw new Error(`${program}: ${error instanceof Error ? error.message : error}`);
  });
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) {
    const lines = text(stderr).trim().split("\n");
    throw new Error(
      `${program}: ${lines.find((line) => /\berror:|^E:/.test(line)) ?? lines.at(-1)}`,
    );
  }
  return text(stdout);
}

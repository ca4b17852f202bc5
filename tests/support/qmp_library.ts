/**
 * QEMU's own QMP client library and shell, in Python, where they are: `FERRY_QMP_LIBRARY` names the folder
 * that has `qemu/qmp`. Debian's packages do not have it, QEMU's source has (`python/`).
 *
 * @module
 */

/** The folder that has `qemu/qmp`, if there is one. */
export const QMP_LIBRARY: string | undefined = Deno.env.get("FERRY_QMP_LIBRARY");

/** Why the library cannot be used here, if it cannot. */
export const WITHOUT_QMP_LIBRARY: string | undefined = reason();

function reason(): string | undefined {
  if (QMP_LIBRARY === undefined) return "FERRY_QMP_LIBRARY names no folder";
  if (Deno.env.get("FERRY_REQUIRE_QEMU") === "1" || hasPython()) return undefined;
  return "no python3";
}

function hasPython(): boolean {
  try {
    return new Deno.Command("python3", { args: ["-c", "import asyncio"] }).outputSync().success;
  } catch {
    return false;
  }
}

/** What a program said. */
export interface PythonOutput {
  readonly success: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a Python program that has the library.
 * @param args What `python3` is given.
 * @param input Its standard input.
 * @throws {Deno.errors.NotFound} If there is no `python3`.
 */
export async function runWithQmpLibrary(
  args: readonly string[],
  input = "",
): Promise<PythonOutput> {
  const child = new Deno.Command("python3", {
    args: [...args],
    env: { PYTHONPATH: QMP_LIBRARY!, PYTHONDONTWRITEBYTECODE: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { success, stdout: text(stdout), stderr: text(stderr) };
}

/**
 * QEMU's `scripts/analyze-migration.py`, where there is one: `FERRY_ANALYZE_SCRIPT` names it. Debian's
 * packages do not have it, QEMU's source has.
 *
 * @module
 */

/** Where the script is, if it is anywhere. */
export const QEMU_SCRIPT: string | undefined = Deno.env.get("FERRY_ANALYZE_SCRIPT");

/**
 * Up to 10.0 at least, `-m` fails at the first page that is not zeros: it asks for the number of what is a
 * number already. So it gets an `ord()` that takes both.
 */
const RUNNER = `
import builtins, runpy, sys
real = builtins.ord
builtins.ord = lambda each: each if isinstance(each, int) else real(each)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
`;

/**
 * Runs the script.
 * @param image The stream's file.
 * @param args Its options beside the file.
 * @param cwd Where it puts files.
 * @returns What it prints.
 * @throws {Error} If it fails, with its last words.
 */
export async function runQemuScript(
  image: string,
  args: readonly string[],
  cwd: string,
): Promise<string> {
  if (QEMU_SCRIPT === undefined) throw new Error("FERRY_ANALYZE_SCRIPT names no script");
  const { success, stdout, stderr } = await new Deno.Command("python3", {
    args: ["-c", RUNNER, QEMU_SCRIPT, "-f", image, ...args],
    cwd,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new Error(`${QEMU_SCRIPT}: ${text(stderr).slice(-500)}`);
  return text(stdout);
}

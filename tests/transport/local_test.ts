import { assertEquals, assertStringIncludes } from "@std/assert";
import { openCommand } from "../../src/transport/local.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { shellUri } from "../../src/transport/uri.ts";
import { readAll, temporaryDirectory } from "./connected.ts";
import { pattern, patternMismatch } from "./pattern.ts";

const PROGRAM = new URL("./descriptor_program.ts", import.meta.url).href;
const PERMISSIONS = ["--allow-net", "--allow-read", "--allow-write", "--allow-run", "--allow-env"];

/** Runs descriptor_program.ts from a shell that gives it descriptors; `$0 "$@"` is its command line. */
async function runFromShell(script: string, args: readonly string[]) {
  const { code, stdout, stderr } = await new Deno.Command("/bin/sh", {
    args: ["-c", script, Deno.execPath(), "run", "--quiet", ...PERMISSIONS, PROGRAM, ...args],
  }).output();
  const text = new TextDecoder();
  return { code, stdout, said: text.decode(stdout), stderr: text.decode(stderr) };
}

Deno.test("fd: reads a pipe and a regular file that the process was given", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/in`;
  Deno.writeFileSync(path, pattern(300_000));
  const piped = await runFromShell(`cat ${path} | "$0" "$@" 3<&0`, ["read", "3"]);
  assertEquals([piped.said, piped.stderr], ["300000 bytes, mismatch -1\n", ""]);
  const file = await runFromShell(`"$0" "$@" 3<${path}`, ["read", "3"]);
  assertEquals([file.said, file.stderr], ["300000 bytes, mismatch -1\n", ""]);
});

Deno.test("fd: reads a regular file from where it is, and leaves it where it stopped", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/in`;
  Deno.writeFileSync(path, Uint8Array.of(9, 9, 9, 9, ...pattern(1000)));
  const script =
    `exec 3<${path}; dd bs=1 count=4 of=/dev/null status=none <&3; "$0" "$@"; wc -c <&3`;
  const { said } = await runFromShell(script, ["read", "3"]);
  assertEquals(said, "1000 bytes, mismatch -1\n0\n");
});

Deno.test("fd: writes a pipe and a regular file from where it is", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/out`;
  const script = `exec 4>${path}; echo first >&4; "$0" "$@"; echo last >&4`;
  assertEquals((await runFromShell(script, ["write", "4"])).code, 0);
  const bytes = Deno.readFileSync(path);
  const text = new TextDecoder();
  assertEquals(text.decode(bytes.subarray(0, 6)), "first\n");
  assertEquals(patternMismatch(bytes.subarray(6, -5)), -1);
  assertEquals(text.decode(bytes.subarray(-5)), "last\n");
  assertEquals(bytes.length, 6 + 300_000 + 5);

  const piped = await runFromShell(`"$0" "$@" 4>&1 >/dev/null | cat`, ["write", "4"]);
  assertEquals([piped.stdout.length, patternMismatch(piped.stdout)], [300_000, -1]);
});

Deno.test("fd: uses a socket pair both ways", async () => {
  const { said, stderr, code } = await runFromShell(`"$0" "$@"`, ["socket pair"]);
  assertEquals([said, stderr, code], ["300000 bytes, mismatch -1\n", "", 0]);
});

Deno.test("fd: refuses a descriptor that the process was not given, and what is no stream", async () => {
  const missing = await runFromShell(`"$0" "$@"`, ["read", "57"]);
  assertEquals(missing.code, 1);
  assertStringIncludes(
    missing.stderr,
    "Cannot use fd:57: this process was not given that descriptor",
  );
  const device = await runFromShell(`"$0" "$@" 3</dev/null`, ["read", "3"]);
  assertStringIncludes(device.stderr, "Cannot use fd:3: it is not a socket, a pipe or a file");
});

Deno.test("fd: refuses the process's own descriptors", async () => {
  // Without the look from a child, the runtime's event loop would be taken for a pipe and closed.
  for (const fd of ["4", "5", "6"]) {
    const { code, stderr } = await runFromShell(`"$0" "$@"`, ["read", fd]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "was not given that descriptor");
  }
});

Deno.test("fd: says that the disk is full behind a regular file", async () => {
  using directory = temporaryDirectory();
  // A limit of the size that files may have stands for a full disk.
  const script = `ulimit -f 8; exec 3>${directory.path}/out; trap '' XFSZ; "$0" "$@"`;
  const { code, stderr } = await runFromShell(script, ["write", "3"]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "fd:3");
});

Deno.test("exec: runs a command each way", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/out.gz`;
  const sink = await openCommand(shellUri(`gzip -1 > ${path}`), "write", {});
  const writer = openChannel(sink.handOff());
  await writer.write(pattern(300_000));
  await writer.shutdown();
  await sink.finish();
  writer.close();
  const source = await openCommand(shellUri(`gzip -dc ${path}`), "read", {});
  assertEquals(await source.readHead(6), pattern(6));
  const reader = openChannel(source.handOff());
  assertEquals(patternMismatch(await readAll(reader)), -1);
  await source.finish();
  reader.close();
});

Deno.test("exec: a command that is closed gets SIGTERM before the end of its input", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/seen`;
  const script = `trap 'echo terminated > ${path}; exit 1' TERM; echo ready > ${path}.ready; cat`;
  const sink = await openCommand(shellUri(`${script}; echo ended > ${path}`), "write", {});
  while (!exists(`${path}.ready`)) await new Promise((resolve) => setTimeout(resolve, 1));
  await sink.close();
  assertEquals(Deno.readTextFileSync(path), "terminated\n");
});

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

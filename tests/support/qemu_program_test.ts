import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type QemuProgram, searchQemu } from "./qemu_program.ts";

/** A folder like an unpacked package, with a program that says it is `version`. */
async function makePrefix(version: string): Promise<string> {
  const prefix = await Deno.makeTempDir();
  for (const folder of ["usr/bin", "usr/share/qemu", "usr/share/seabios"]) {
    await Deno.mkdir(`${prefix}/${folder}`, { recursive: true });
  }
  const program = `${prefix}/usr/bin/qemu-system-x86_64`;
  await Deno.writeTextFile(program, `#!/bin/sh\necho "QEMU emulator version ${version} (test)"\n`);
  await Deno.chmod(program, 0o755);
  return prefix;
}

async function withPrefix(version: string, test: (prefix: string) => void): Promise<void> {
  const prefix = await makePrefix(version);
  try {
    test(prefix);
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
}

Deno.test("searchQemu() takes a folder of unpacked packages, and tells QEMU where its data is", async () => {
  await withPrefix("7.2.9", (prefix) => {
    const found = searchQemu("7.2", [prefix]) as QemuProgram;
    assertEquals(found.path, `${prefix}/usr/bin/qemu-system-x86_64`);
    const data = [`${prefix}/usr/share/qemu`, `${prefix}/usr/share/seabios`];
    assertEquals(found.dataArgs, ["-L", data[0]!, "-L", data[1]!]);
    assertStringIncludes(found.banner, "7.2.9");
  });
});

Deno.test("searchQemu() takes a program, and goes on when it is another release", async () => {
  await withPrefix("10.0.2", (prefix) => {
    const program = `${prefix}/usr/bin/qemu-system-x86_64`;
    const found = searchQemu("10.0", ["/nonexistent", program]);
    assert(typeof found !== "string");
    assertEquals(found.path, program);
    assertStringIncludes(searchQemu("7.2", [program]) as string, "10.0.2");
  });
});

Deno.test("searchQemu() says where it looked when there is none", () => {
  const reason = searchQemu("7.2", ["/nonexistent"]);
  assertEquals(reason, "QEMU 7.2 not found: no /nonexistent (set FERRY_QEMU_72)");
});

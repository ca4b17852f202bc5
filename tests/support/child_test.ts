import { assert, assertEquals } from "@std/assert";
import { Child, type Exit, lifeGuard } from "./child.ts";

Deno.test("Child keeps stderr and the exit status", async () => {
  await using child = new Child("sh", ["-c", "echo out; echo err >&2; exit 3"]);
  const { code, signal, stderr } = await child.exited;
  assertEquals([code, signal], [3, null]);
  assert(stderr.includes("err\n") && stderr.includes("out\n"), stderr);
  assertEquals(child.running, false);
  child.kill(); // nothing left to kill
});

Deno.test("Child gives lines as they come, the last one without a line end too", async () => {
  const lines: string[] = [];
  await using child = new Child("printf", ["one\\ntwo\\nthree"], {
    onLine: (line) => lines.push(line),
  });
  await child.exited;
  assertEquals(lines, ["one", "two", "three"]);
});

Deno.test("Child is killed when it is disposed of", async () => {
  let child;
  {
    await using inner = new Child("sleep", ["1000"]);
    child = inner;
    assert(child.running);
  }
  assertEquals((await child.exited).signal, "SIGKILL");
});

Deno.test("Child does not wait for output that a grandchild holds open", async () => {
  await using child = new Child("sh", ["-c", "sleep 2 & exit 5"]);
  assertEquals((await child.exited).code, 5);
});

Deno.test({
  name: "Child does not outlive the process that started it",
  ignore: lifeGuard().length === 0,
  fn: outlive,
});

async function outlive(): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    using listener = Deno.listen({ transport: "unix", path: `${dir}/socket` });
    // The grandchild keeps a connection open for as long as it lives.
    await Deno.writeTextFile(
      `${dir}/grandchild.ts`,
      `const connection = await Deno.connect({ transport: "unix", path: "${dir}/socket" });
      await connection.write(new Uint8Array(1));
      await connection.read(new Uint8Array(1));`,
    );
    await Deno.writeTextFile(
      `${dir}/parent.ts`,
      `import { Child } from ${JSON.stringify(import.meta.resolve("./child.ts"))};
      await new Child(Deno.execPath(), ["run", "-A", "${dir}/grandchild.ts"]).exited;`,
    );
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const args = ["run", "-A", "--quiet", "--config", config, `${dir}/parent.ts`];
    await using parent = new Child(Deno.execPath(), args);
    using life = await Promise.race([listener.accept(), parent.exited.then(assertNever)]);
    assertEquals(await life.read(new Uint8Array(1)), 1);
    parent.kill();
    assertEquals(await life.read(new Uint8Array(1)), null);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function assertNever(exit: Exit): never {
  throw new Error(`Ended too early: ${exit.stderr}`);
}

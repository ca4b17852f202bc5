import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { StreamBuilder } from "../analyze/fixtures/stream_builder.ts";
import { toText } from "@std/streams";
import { readMigrateTask } from "../support/run_ferry.ts";
import { readGolden } from "../support/golden.ts";
import { temporaryDirectory } from "../transport/connected.ts";
import { analyze, imageIn } from "./fixtures/analyze.ts";

Deno.test("analyze shows a file and the standard input in the same way", async () => {
  using directory = temporaryDirectory();
  const image = await imageIn(directory, "pc-10.0");
  const bytes = await readGolden("pc-10.0");
  const summary = await analyze([image]);
  assertEquals([summary.code, summary.stderr], [0, ""]);
  assertStringIncludes(summary.stdout, `${image}: pc-i440fx-10.0`);
  const piped = await analyze(["-"], bytes);
  assertEquals(piped.stdout, summary.stdout.replace(image, "the standard input"));
  for (const options of [["-d", "state"], ["-d", "desc"], ["-m"], ["--json"]]) {
    const [file, pipe] = [
      await analyze([image, ...options]),
      await analyze(["-", ...options], bytes),
    ];
    assertEquals([file.code, file.stderr, pipe.code, pipe.stderr], [0, "", 0, ""]);
    assert(JSON.parse(file.stdout));
    assertEquals(pipe.stdout, file.stdout.replace(image, "the standard input"), String(options));
  }
});

Deno.test("analyze shows what it understood of a damaged stream, and says where it is damaged", async () => {
  using directory = temporaryDirectory();
  const builder = new StreamBuilder().device("fine", [1], [{ name: "f", type: "uint8", size: 1 }]);
  const at = builder.length;
  builder.device("liar", [2], [{ name: "g", type: "uint16", size: 2 }]);
  const path = `${directory.path}/image`;
  await Deno.writeFile(path, builder.finish());
  for (const options of [[], ["-d", "state"], ["-m"]]) {
    const { code, stdout, stderr } = await analyze([path, ...options]);
    assertEquals(code, 1);
    assertStringIncludes(stdout, "fine");
    assertStringIncludes(stderr, "ferry: " + path);
    assertStringIncludes(stderr, "section liar/0");
    assertStringIncludes(stderr, "at offset 0x");
    assert(Number(/at offset (0x[0-9a-f]+)/.exec(stderr)![1]) > at);
  }
});

Deno.test("analyze refuses what is no stream, and what has no description, with status 1", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  await Deno.writeTextFile(path, "#!/bin/sh\n");
  const script = await analyze([path]);
  assertEquals([script.code, script.stdout], [1, ""]);
  assertStringIncludes(script.stderr, "Not a migration stream");
  const postcopy = await analyze([await imageIn(directory, "postcopy-10.0"), "-d", "desc"]);
  assertEquals([postcopy.code, postcopy.stdout], [1, ""]);
  assertStringIncludes(postcopy.stderr, "no description");
  const missing = await analyze([`${directory.path}/missing`]);
  assertEquals(missing.code, 1);
  assertStringIncludes(missing.stderr, "no such file");
});

Deno.test("analyze ends with status 2 when it is not understood", async () => {
  const { code, stdout, stderr } = await analyze([]);
  assertEquals([code, stdout], [2, ""]);
  assertStringIncludes(stderr, 'or "-" for the standard input');
});

Deno.test("analyze ends quietly when nobody reads on", async () => {
  using directory = temporaryDirectory();
  const image = await imageIn(directory, "pc-10.0");
  const { flags, main } = readMigrateTask();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...flags, main, "analyze", image, "-m"],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await child.stdout.cancel();
  const [{ code }, words] = await Promise.all([child.status, toText(child.stderr)]);
  assertEquals([code, words], [1, ""]);
});

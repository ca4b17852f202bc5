/**
 * `analyze` as a user meets it, in a process of its own.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { analyze as command } from "../../src/cli/analyze.ts";
import { UsageError } from "../../src/errors.ts";
import { readGolden } from "../support/golden.ts";
import { readMigrateTask } from "../support/run_ferry.ts";
import { temporaryDirectory } from "../transport/connected.ts";
import { PAGE_SIZE, pageOf, StreamBuilder } from "../analyze/fixtures/stream_builder.ts";

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function analyze(args: readonly string[], stdin?: Uint8Array<ArrayBuffer>): Promise<Result> {
  const { flags, main } = readMigrateTask();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...flags, main, "analyze", ...args],
    stdin: stdin ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  const feeding = stdin && new Blob([stdin]).stream().pipeTo(child.stdin).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  await feeding;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** A stream in a file. */
async function imageIn(directory: { path: string }, name: string): Promise<string> {
  const path = `${directory.path}/${name}`;
  await Deno.writeFile(path, await readGolden(name));
  return path;
}

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

Deno.test("analyze finds a stream behind an offset", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/image`;
  await Deno.writeFile(
    path,
    new Uint8Array([...new Uint8Array(512), ...await readGolden("none-10.0")]),
  );
  const { code, stdout } = await analyze([`file:${path},offset=512`, "-d", "state"]);
  assertEquals(code, 0);
  assertStringIncludes(stdout, "globalstate");
});

Deno.test("analyze -x takes a stream apart into files", async () => {
  using directory = temporaryDirectory();
  const folder = `${directory.path}/out`;
  const { code, stdout } = await analyze(["-", "-x", folder], await readGolden("xbzrle-10.0"));
  assertEquals(code, 0);
  for (const name of stdout.trimEnd().split("\n")) {
    assert(Deno.statSync(`${folder}/${name}`).isFile);
  }
  assertStringIncludes(stdout, "pc.ram\n");
  assertEquals(Deno.statSync(`${folder}/pc.ram`).size, 1024 ** 2);
});

Deno.test("analyze with two images says what differs, and ends as diff does", async () => {
  using directory = temporaryDirectory();
  const write = (name: string, page: number, value: number) => {
    const builder = new StreamBuilder().blocks({ "pc.ram": 4 * PAGE_SIZE });
    builder.pages((records) => records.normal("pc.ram", 2, pageOf(page)));
    builder.device("d", [value], [{ name: "f", type: "uint8", size: 1 }]);
    const path = `${directory.path}/${name}`;
    Deno.writeFileSync(path, builder.finish());
    return path;
  };
  const [a, b, c] = [write("a", 1, 1), write("b", 1, 1), write("c", 2, 5)];
  const same = await analyze([a, b]);
  assertEquals([same.code, same.stdout], [0, `${a} and ${b} hold the same machine\n`]);
  const other = await analyze([a, c]);
  assertEquals([other.code, other.stderr], [1, ""]);
  assertEquals(
    other.stdout,
    `${a} -> ${c}
RAM block pc.ram: 1 page in 1 run
  0x2000 to 0x3000
d/0: 1 value
  f: 0x01 -> 0x05
`,
  );
  const json = await analyze([a, "-", "--json"], Deno.readFileSync(c));
  assertEquals([json.code, JSON.parse(json.stdout).devices[0].device], [1, "d/0"]);
});

Deno.test("analyze --check says what breaks between two programs, and ends with it", async () => {
  using directory = temporaryDirectory();
  const dump = (name: string, version: number) => {
    const path = `${directory.path}/${name}`;
    const shared = { version_id: version, minimum_version_id: 1 };
    Deno.writeTextFileSync(
      path,
      JSON.stringify({
        vmschkmachine: { Name: "m" },
        device: { Name: "device", ...shared, Description: { name: "d", ...shared, Fields: [] } },
      }),
    );
    return path;
  };
  const [old, young] = [dump("old", 1), dump("new", 2)];
  const both = await analyze(["--check", old, young]);
  assertEquals(both.code, 1);
  assertStringIncludes(both.stdout, `${old} to ${young}: nothing breaks`);
  assertStringIncludes(both.stdout, "version 2 is sent, and the destination knows 1");
  assertEquals((await analyze(["--check", "--forward", old, young])).code, 0);
  assertEquals((await analyze(["--check", "--forward", young, old])).code, 1);
  const json = await analyze(["--check", "--json", old, old]);
  assertEquals([json.code, JSON.parse(json.stdout).forward.compatible], [0, true]);
  Deno.writeTextFileSync(old, "{");
  const broken = await analyze(["--check", old, young]);
  assertEquals(broken.code, 1);
  assertStringIncludes(broken.stderr, `${old}: Not JSON`);
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

for (
  const [args, message] of [
    [[], "One or two images are needed"],
    [["a", "b", "c"], "One or two images are needed"],
    [["a", "-d", "all"], 'nothing called "all"'],
    [["a", "b", "-m"], "are for one"],
    [["-", "-"], "one image, not two"],
    [["a", "-m", "-d", "desc"], "-d desc does not"],
    [["a", "--frobnicate"], "--frobnicate is not known"],
    [["a", "--strict"], "belong to --check"],
    [["--check", "a"], "--check needs two files"],
    [["tcp:1.2.3.4:5", "-x", ""], "needs a value"],
  ] as const
) {
  Deno.test(`analyze ${args.join(" ")}: a usage error`, async () => {
    await assertRejects(() => command(args), UsageError, message);
  });
}

Deno.test("analyze ends with status 2 when it is not understood", async () => {
  const { code, stdout, stderr } = await analyze([]);
  assertEquals([code, stdout], [2, ""]);
  assertStringIncludes(stderr, 'or "-" for the standard input');
});

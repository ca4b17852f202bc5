import { assertEquals, assertStringIncludes } from "@std/assert";
import { temporaryDirectory } from "../transport/connected.ts";
import { analyze } from "./fixtures/analyze.ts";

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

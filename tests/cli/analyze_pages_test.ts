import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { PAGE_SIZE, pageOf, StreamBuilder } from "../analyze/fixtures/stream_builder.ts";
import { readGolden } from "../support/golden.ts";
import { temporaryDirectory } from "../transport/connected.ts";
import { analyze } from "./fixtures/analyze.ts";

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

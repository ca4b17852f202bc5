import { assertEquals, assertThrows } from "@std/assert";
import { analyzeStream } from "../../src/analyze/analyze_stream.ts";
import { openImage, reportFailure } from "../../src/cli/analyze_io.ts";
import { TransportError, UsageError } from "../../src/errors.ts";
import { temporaryDirectory } from "../transport/connected.ts";
import { analyze } from "./fixtures/analyze.ts";
import { fileOf } from "../analyze/fixtures/memory_bytes.ts";
import { assertStringIncludes } from "@std/assert";
import { readGolden } from "../support/golden.ts";

Deno.test("openImage() opens paths and URIs of files", () => {
  using directory = temporaryDirectory();
  using resources = new DisposableStack();
  const path = `${directory.path}/image`;
  Deno.writeFileSync(path, new Uint8Array(10));
  assertEquals(openImage(path, false, resources).start, 0);
  const { source, start } = openImage(`file:${path},offset=4`, true, resources);
  assertEquals([source.name, source.size, start], [path, 10, 4]);
  assertThrows(() => openImage(`${path}x`, false, resources), TransportError, "no such file");
  assertThrows(() => openImage("file:", false, resources), UsageError);
});

Deno.test("reportFailure() has a status for each end", async () => {
  assertEquals(reportFailure(analyzeStream(fileOf(await readGolden("none-10.0")))), 0);
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

/**
 * What `analyze` says of real machines' streams is, as JSON, what QEMU's script says: held against what the
 * script printed when the streams were captured.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { JsonWriter } from "../../src/analyze/json_writer.ts";
import { writeState } from "../../src/analyze/state_output.ts";
import { readAnalyzed, readAnalyzedManifest } from "../support/analyzed.ts";
import { ANALYZED_MACHINES } from "../support/analyzed_machines.ts";
import { analyzed } from "./fixtures/analyzed.ts";

Deno.test("Every machine has been captured, and no folder of who did it is named", async () => {
  const manifest = await readAnalyzedManifest();
  assertEquals(Object.keys(manifest).toSorted(), Object.keys(ANALYZED_MACHINES).toSorted());
  for (const { command } of Object.values(manifest)) {
    assertEquals(command.match(/(?<!\$DIR)\/(tmp|opt|home|root|work)\//), null, command);
  }
});

for (const name of Object.keys(ANALYZED_MACHINES)) {
  Deno.test(`The state, the pages and the description of ${name} are what QEMU's script says`, async () => {
    const { stream, said } = await readAnalyzed(name);
    const { analysis, ...memory } = analyzed(stream);
    for (const withMemory of [true, false]) {
      let text = "";
      const writer = new JsonWriter((bytes) => void (text += new TextDecoder().decode(bytes)));
      writeState(writer, analysis, withMemory ? memory : undefined);
      writer.end();
      const expected = JSON.parse(said);
      const ram = Object.keys(expected).find((key) => key.startsWith("ram ("))!;
      if (!withMemory) delete expected[ram].memory;
      assertEquals(JSON.parse(text), expected);
      // Nothing is left to the order of members either: it is the same text.
      if (withMemory) assertEquals(text === said, true);
    }
    const at = analysis.description!.offset;
    const description = new TextDecoder().decode(stream.subarray(at));
    assertEquals(analysis.description!.json, JSON.parse(description));
    assertEquals(analysis.oddities, []);
  });
}

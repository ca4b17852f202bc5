import { assertEquals } from "@std/assert";
import { Analysis } from "../../src/analyze/analysis.ts";

Deno.test("An Analysis claims nothing before a stream was walked over", () => {
  const analysis = new Analysis("image");
  assertEquals([analysis.name, analysis.ended, analysis.size], ["image", false, 0]);
  assertEquals([analysis.ram, analysis.description, analysis.failure], [
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals([analysis.sections.size, analysis.elements.length, analysis.oddities.length], [
    0,
    0,
    0,
  ]);
});

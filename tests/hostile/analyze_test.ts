/**
 * Bad streams before `analyze`: it ends each with what it understood and, where that is not all, with an error
 * that says where. It does not throw, hang, or take more memory than the stream is worth.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { analyzeStream } from "../../src/analyze/analyze_stream.ts";
import { JsonWriter } from "../../src/analyze/json_writer.ts";
import { PageTable } from "../../src/analyze/page_table.ts";
import { writeState } from "../../src/analyze/state_output.ts";
import { summaryText } from "../../src/analyze/summary.ts";
import { fileOf, pipeOf } from "../analyze/fixtures/memory_bytes.ts";
import { readAnalyzed } from "../support/analyzed.ts";
import { readGolden } from "../support/golden.ts";
import { RECIPES } from "./recipes.ts";
import { join, streamParts } from "./stream_parts.ts";

/** Walks over bytes, says all there is to say of them, and checks what must be true of any stream. */
function looked(bytes: Uint8Array, open = fileOf): Analysis {
  const analysis = analyzeStream(open(bytes), { keepState: true, sink: new PageTable() });
  writeState(new JsonWriter(() => {}), analysis);
  const text = summaryText(analysis);
  assertEquals(text.match(/[^\P{C}\n]/u), null, "nothing steers a terminal");
  const { failure } = analysis;
  assert(analysis.size <= bytes.length);
  if (failure) {
    assert(failure.place.offset !== undefined, failure.message);
    assert(failure.place.offset <= bytes.length, failure.message);
    assert(failure.name !== "MigrationError", failure.stack); // what nobody thought of
  }
  return analysis;
}

for (const { what, change } of RECIPES) {
  Deno.test(`analyze ends with a stream that ${what}`, () => {
    const bytes = join(change(streamParts()));
    looked(bytes);
    looked(bytes, (each) => pipeOf(each, 1009));
  });
}

/** Numbers that are the same in every run. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0;
    return (Math.imul(state ^ state >>> 13, 0x297a2d39) >>> 0) % below;
  };
}

for (const name of ["none-10.0", "pc-7.2", "xbzrle-10.0", "postcopy-10.0", "dirty-bitmap-10.0"]) {
  Deno.test(`analyze ends with ${name}, whatever bytes of it are changed`, async () => {
    const whole = await readGolden(name);
    const { elements } = analyzeStream(fileOf(whole));
    const next = random(name.length * 7919);
    let failures = 0;
    for (let round = 0; round < 60; round++) {
      const bytes = whole.slice();
      for (let i = 0; i <= next(4); i++) bytes[next(bytes.length)] = next(256);
      // Most bytes are pages, where everything is allowed: headers are found on purpose.
      bytes[elements[next(elements.length)]!.offset + next(24)] = next(256);
      if (looked(bytes).failure) failures++;
    }
    assert(failures > 0);
  });
}

Deno.test("analyze ends with a stream whose description has any byte changed", async () => {
  const { stream } = await readAnalyzed("isapc-10.0");
  const { description } = analyzeStream(fileOf(stream));
  const next = random(5);
  for (let round = 0; round < 200; round++) {
    const bytes = stream.slice();
    bytes[description!.offset + next(description!.length)] = 0x20 + next(0x5f);
    looked(bytes);
  }
});

import { assertEquals, assertThrows } from "@std/assert";
import { deflateSync } from "node:zlib";
import { analyzeStream } from "../../src/analyze/analyze_stream.ts";
import { PageReader, PageTable } from "../../src/analyze/page_table.ts";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { readGolden } from "../support/golden.ts";
import { GOLDEN_RECIPES } from "../support/golden_recipes.ts";
import { checkSweep } from "../support/sweep_check.ts";
import { analyzed, blockOf, memoryOf } from "./fixtures/analyzed.ts";
import { fileOf } from "./fixtures/memory_bytes.ts";
import { PAGE_SIZE, pageOf, StreamBuilder } from "./fixtures/stream_builder.ts";

Deno.test("A PageReader gives each page as it came last", () => {
  const builder = new StreamBuilder().blocks({ a: 100 * PAGE_SIZE, b: PAGE_SIZE });
  builder.pages((records) => {
    records.normal("a", 1, pageOf(1)).normal("a", 99, pageOf(2)).zero("a", 2, 7).zero("a", 3);
  });
  builder.pages((records) => {
    records.normal("a", 99, pageOf(3)).zero("a", 1).normal("a", 2, pageOf(4));
    records.compressed("b", 0, deflateSync(pageOf(5)));
    // Changes build on what the page was, whatever it came as.
    records.xbzrle("a", 99, [0, 2, 0xaa, 0xbb]).xbzrle("a", 99, [1, 1, 0xcc]);
    records.xbzrle("a", 3, [4, 1, 0xdd]).xbzrle("b", 0, [0, 1, 0xee]);
  });
  const stream = analyzed(builder.finish());
  const block = blockOf(stream.analysis, "a");
  const changed = (bytes: Uint8Array, ...values: number[]) => (bytes.set(values), bytes);
  assertEquals(stream.reader.content(block, 0), undefined);
  assertEquals(stream.reader.content(block, 1), new Uint8Array(PAGE_SIZE));
  assertEquals(stream.reader.content(block, 2), pageOf(4));
  const third = new Uint8Array(PAGE_SIZE);
  third[4] = 0xdd;
  assertEquals(stream.reader.content(block, 3), third);
  assertEquals(stream.reader.content(block, 99), changed(pageOf(3), 0xaa, 0xcc));
  assertEquals(memoryOf(stream, "b"), changed(pageOf(5), 0xee));
});

Deno.test("A PageTable knows zero pages without reading", () => {
  const builder = new StreamBuilder().blocks({ a: 4 * PAGE_SIZE });
  builder.pages((records) => records.zero("a", 1).zero("a", 2, 255).normal("a", 3, pageOf(1)));
  const { table, analysis } = analyzed(builder.finish());
  const block = blockOf(analysis, "a");
  const fills = [0, 1, 2, 3].map((page) => table.fillOf(table.placeOf(block, page)));
  assertEquals(fills, [undefined, 0, 255, undefined]);
  assertEquals(table.placeOf(block, 0), 0);
});

for (
  const name of [
    "pc-10.0",
    "pc-7.2",
    "xbzrle-10.0",
    "compress-7.2",
    "mapped-ram-10.0",
    "postcopy-10.0",
  ]
) {
  Deno.test(`A PageReader gives the guest's memory of one instant: ${name}`, async () => {
    const { guest } = GOLDEN_RECIPES[name]!.machine("");
    const ram = memoryOf(analyzed(await readGolden(name)), "pc.ram");
    checkSweep(guest!, ram.subarray(guest!.start, guest!.end));
  });
}

Deno.test("A PageReader says which record is damaged", () => {
  const builder = new StreamBuilder().blocks({ a: 3 * PAGE_SIZE });
  builder.pages((records) => {
    records.compressed("a", 0, Uint8Array.of(1, 2, 3));
    records.compressed("a", 1, deflateSync(new Uint8Array(5000)));
    records.compressed("a", 2, deflateSync(new Uint8Array(50)));
  });
  const { reader, analysis } = analyzed(builder.finish());
  const block = blockOf(analysis, "a");
  for (const [page, message] of [[0, "damaged"], [1, "damaged"], [2, "has 50 bytes"]] as const) {
    assertThrows(() => reader.content(block, page), StreamFormatError, message);
  }
});

Deno.test("A PageReader says that its file became shorter", () => {
  const builder = new StreamBuilder().blocks({ a: PAGE_SIZE });
  const bytes = builder.pages((records) => records.normal("a", 0, pageOf(1))).finish();
  const table = new PageTable();
  const analysis = analyzeStream(fileOf(bytes), { sink: table });
  const reader = new PageReader(fileOf(bytes.subarray(0, 500)), table, PAGE_SIZE);
  const block = blockOf(analysis, "a");
  assertThrows(() => reader.content(block, 0), ConnectionLostError, "became shorter");
});

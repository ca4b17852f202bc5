import { assertEquals } from "@std/assert";
import { RamFlag } from "../../src/ram/flags.ts";
import { noteRecords } from "../../src/ram/note_records.ts";
import { PageIndex } from "../../src/ram/page_index.ts";
import { RecordEncoder } from "../../src/ram/record_encoder.ts";
import { patternedRam } from "./fixtures/patterned_ram.ts";

Deno.test("noteRecords() finds every record, whatever its kind and with whatever name", () => {
  const ram = patternedRam(false);
  const block = ram.blocks[1]!;
  const io = new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true });
  const end = new RecordEncoder(ram, io, { detectZero: true }).encodeRun(block, 0, 200, 4096);
  const index = PageIndex.create(ram.blocks.map(({ pageCount }) => pageCount));
  const view = new DataView(io.buffer);
  noteRecords(index, 1, 4096, view, 4096, end, 2 ** 40);
  assertEquals([index.has(0, 0), index.has(2, 0)], [false, false]);
  for (let page = 0; page < block.pageCount; page++) {
    const header = Number(view.getBigUint64(index.offset(1, page) - 2 ** 40 + 4096));
    assertEquals(header - header % 4096, page * 4096);
    assertEquals((header & RamFlag.ZERO) !== 0, page % 3 === 0);
    assertEquals(index.isZero(1, page), page % 3 === 0);
  }
});

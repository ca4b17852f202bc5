/**
 * What is known of a stream as the JSON of QEMU's `scripts/analyze-migration.py`: every section under its
 * name and id, and RAM as its blocks' sizes and, if wanted, every page.
 *
 * @module
 */
import type { Analysis, WalkedSection } from "./analysis.ts";
import type { JsonWriter } from "./json_writer.ts";
import { BitmapWalk } from "./live_sections.ts";
import type { PageReader, PageTable } from "./page_table.ts";
import { RamWalk } from "./ram_walk.ts";
import type { WalkedBlock } from "./walked_block.ts";

/** Where pages are read, if they are wanted. */
export interface Memory {
  readonly table: PageTable;
  readonly reader: PageReader;
}

/**
 * Writes the state of all sections.
 * @param writer Where to.
 * @param memory Reads the pages; without it they are left out.
 */
export function writeState(writer: JsonWriter, analysis: Analysis, memory?: Memory): void {
  writer.open("{");
  for (const [id, section] of analysis.sections) {
    writer.key(`${section.idstr} (${id})`);
    writeSection(writer, section, memory);
  }
  writer.close("}");
}

function writeSection(
  writer: JsonWriter,
  { live, state, raw }: WalkedSection,
  memory: Memory | undefined,
): void {
  if (live instanceof RamWalk) writeRam(writer, live, memory);
  else if (live instanceof BitmapWalk) writer.json({ bitmaps: live.bitmaps });
  else if (state) writer.state(state);
  else if (raw) writer.state(new Map([["data", raw.bytes]]));
  else writer.string("");
}

function writeRam(writer: JsonWriter, ram: RamWalk, memory: Memory | undefined): void {
  writer.open("{");
  writer.key("section sizes");
  writer.open("{");
  for (const { name, length } of ram.blocks) {
    writer.key(name);
    writer.string(hex64(length));
  }
  writer.close("}");
  if (memory) {
    writer.key("memory");
    writer.open("{");
    for (const block of ram.blocks) writePages(writer, block, memory);
    writer.close("}");
  }
  writer.close("}");
}

function writePages(writer: JsonWriter, block: WalkedBlock, { table, reader }: Memory): void {
  for (let page = 0; page < block.pages; page++) {
    const place = table.placeOf(block, page);
    // A mapped-ram file has a place for every page, and zeros where it says nothing.
    if (place === 0 && !block.mapped) continue;
    writer.key(`${block.name} (${hex64(page * block.pageSize)})`);
    const fill = place === 0 ? 0 : table.fillOf(place);
    if (fill === undefined) writer.hex(reader.content(block, page)!);
    else writer.string(`Filled with 0x${fill.toString(16).padStart(2, "0")}`);
  }
}

function hex64(value: number): string {
  return `0x${value.toString(16).padStart(16, "0")}`;
}

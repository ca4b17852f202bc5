/**
 * Takes a stream apart into files: each RAM block as it is in memory, `desc.json` and `state.json`, as
 * QEMU's script does with `-x`. Blocks' names come from the stream: none leads out of the folder.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import { makeFolder, SyncFile } from "../transport/sync_file.ts";
import type { Analysis } from "./analysis.ts";
import { JsonWriter } from "./json_writer.ts";
import type { PageReader, PageTable } from "./page_table.ts";
import { writeState } from "./state_output.ts";
import type { WalkedBlock } from "./walked_block.ts";

const DESCRIPTION = "desc.json";
const STATE = "state.json";
/** How much is written in one go, in bytes: a multiple of every page size. */
const WRITE_SIZE = 1024 * 1024;

/**
 * Writes the files.
 * @param folder Where to; it is made if it does not exist.
 * @param table Where the pages are.
 * @param reader Reads them.
 * @returns The files' names in the folder, in the order in which they were written.
 * @throws {StreamFormatError} If a block's name cannot be a file's.
 * @throws {TransportError} If a file cannot be written.
 */
export function extract(
  analysis: Analysis,
  folder: string,
  table: PageTable,
  reader: PageReader,
): string[] {
  const blocks = analysis.ram?.blocks ?? [];
  const names = blocks.map((block) => fileNameOf(block.name));
  for (const [i, name] of [...names, DESCRIPTION, STATE].entries()) {
    if (names.indexOf(name) !== i && names.includes(name)) {
      throw new StreamFormatError(`Two files would be called "${name}"`);
    }
  }
  makeFolder(folder);
  const written: string[] = [];
  if (analysis.description) {
    writeJson(
      `${folder}/${DESCRIPTION}`,
      (writer) => writer.json(analysis.description!.json),
    );
    written.push(DESCRIPTION);
  }
  for (const [i, block] of blocks.entries()) {
    const name = names[i]!;
    if (name.includes("/")) makeFolder(`${folder}/${name.slice(0, name.lastIndexOf("/"))}`);
    using file = SyncFile.create(`${folder}/${name}`);
    writeBlock(file, block, table, reader);
    written.push(name);
  }
  writeJson(`${folder}/${STATE}`, (writer) => writeState(writer, analysis));
  return [...written, STATE];
}

/** `/rom@etc/acpi/tables` is `rom@etc/acpi/tables` below the folder. */
function fileNameOf(block: string): string {
  const parts = block.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.length > 0 && !parts.includes("..") && !block.includes("\0")) return parts.join("/");
  throw new StreamFormatError(`RAM block "${block}" has a name that is no file's`);
}

function writeBlock(
  file: SyncFile,
  block: WalkedBlock,
  table: PageTable,
  reader: PageReader,
): void {
  file.truncate(block.length);
  const { pageSize } = block;
  const run = new Uint8Array(WRITE_SIZE);
  let start = 0;
  let length = 0;
  const flush = () => {
    // The last page may be longer than what is left of the block.
    const end = Math.min(start + length, block.length);
    if (length > 0) file.write(run.subarray(0, end - start), start);
    length = 0;
  };
  for (let page = 0; page < block.pages; page++) {
    const place = table.placeOf(block, page);
    if (place === 0 || table.fillOf(place) === 0) {
      flush(); // what is not written is zeros
      continue;
    }
    if (length === WRITE_SIZE) flush();
    if (length === 0) start = page * pageSize;
    run.set(reader.content(block, page)!, length);
    length += pageSize;
  }
  flush();
}

function writeJson(path: string, write: (writer: JsonWriter) => void): void {
  using file = SyncFile.create(path);
  let position = 0;
  const writer = new JsonWriter((bytes) => {
    file.write(bytes, position);
    position += bytes.length;
  });
  write(writer);
  writer.end("");
}

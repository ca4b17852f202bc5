import { assertEquals, assertThrows } from "@std/assert";
import { extract } from "../../src/analyze/extract.ts";
import { StreamFormatError, TransportError } from "../../src/errors.ts";
import { temporaryDirectory } from "../transport/connected.ts";
import { analyzed, memoryOf } from "./fixtures/analyzed.ts";
import { PAGE_SIZE, pageOf, StreamBuilder } from "./fixtures/stream_builder.ts";

function stream(blocks: Readonly<Record<string, number>>) {
  return analyzed(new StreamBuilder().blocks(blocks).finish());
}

Deno.test("extract() writes each block as it is in memory, the description and the state", () => {
  using directory = temporaryDirectory();
  const folder = `${directory.path}/new/folder`;
  const pages = 700; // more than is written at once
  const builder = new StreamBuilder().blocks({
    "pc.ram": pages * PAGE_SIZE,
    "/rom@etc/acpi/tables": PAGE_SIZE,
  });
  builder.pages((records) => {
    for (let page = 0; page < pages; page += page === 600 ? 2 : 1) {
      records.normal("pc.ram", page, pageOf(page));
    }
    records.zero("pc.ram", 5).zero("pc.ram", 6, 9).normal("/rom@etc/acpi/tables", 0, pageOf(3));
  });
  builder.device("d", [1], [{ name: "f", type: "uint8", size: 1 }]);
  const { analysis, table, reader } = analyzed(builder.finish());
  assertEquals(extract(analysis, folder, table, reader), [
    ...["desc.json", "pc.ram", "rom@etc/acpi/tables", "state.json"],
  ]);
  const ram = Deno.readFileSync(`${folder}/pc.ram`);
  assertEquals(ram, memoryOf({ analysis, table, reader }, "pc.ram"));
  assertEquals([ram[5 * PAGE_SIZE], ram[6 * PAGE_SIZE], ram[601 * PAGE_SIZE]], [0, 9, 0]);
  assertEquals(Deno.readFileSync(`${folder}/rom@etc/acpi/tables`), pageOf(3));
  const json = (name: string) => JSON.parse(Deno.readTextFileSync(`${folder}/${name}`));
  assertEquals(json("desc.json"), analysis.description!.json);
  assertEquals(json("state.json")["d (10)"], { f: "0x01" });
});

for (const name of ["..", "../up", "a/../../up", "/", ".", "desc.json", "/state.json", "a\0b"]) {
  Deno.test(`extract() refuses to write a block called ${JSON.stringify(name)}`, () => {
    using directory = temporaryDirectory();
    const { analysis, table, reader } = stream({ [name]: PAGE_SIZE });
    const folder = `${directory.path}/a/b`;
    assertThrows(() => extract(analysis, folder, table, reader), StreamFormatError);
    assertEquals([...Deno.readDirSync(directory.path)], []);
  });
}

Deno.test("extract() refuses two blocks that would be one file, or a file and a folder", () => {
  using directory = temporaryDirectory();
  const twice = stream({ "a/b": PAGE_SIZE, "/a//./b": PAGE_SIZE });
  assertThrows(
    () => extract(twice.analysis, directory.path, twice.table, twice.reader),
    StreamFormatError,
    'Two files would be called "a/b"',
  );
  const both = stream({ a: PAGE_SIZE, "a/b": PAGE_SIZE });
  assertThrows(
    () => extract(both.analysis, directory.path, both.table, both.reader),
    TransportError,
    "make folder",
  );
});

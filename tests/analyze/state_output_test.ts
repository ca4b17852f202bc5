import { assertEquals } from "@std/assert";
import { JsonWriter } from "../../src/analyze/json_writer.ts";
import { writeState } from "../../src/analyze/state_output.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import type { Compared } from "../../src/analyze/difference.ts";
import { readGolden } from "../support/golden.ts";
import { analyzed } from "./fixtures/analyzed.ts";
import { PAGE_SIZE, pageOf, StreamBuilder } from "./fixtures/stream_builder.ts";

function stateOf({ analysis, ...pages }: Compared, memory = false) {
  let text = "";
  const writer = new JsonWriter((bytes) => void (text += new TextDecoder().decode(bytes)));
  writeState(writer, analysis, memory ? pages : undefined);
  writer.end();
  return JSON.parse(text);
}

function stream(): Compared {
  const builder = new StreamBuilder().blocks({ "pc.ram": 3 * PAGE_SIZE, rom: PAGE_SIZE });
  builder.pages((records) => records.normal("pc.ram", 2, pageOf(1)).zero("pc.ram", 0));
  builder.pages((records) => records.zero("rom", 0, 0xff));
  return analyzed(
    builder.device("d", [0x12, 1], [
      { name: "n", type: "uint8", size: 1 },
      { name: "b", type: "bool", size: 1 },
    ]).device("e", [1, 2]).finish(),
  );
}

Deno.test("writeState() writes sections under their names and ids, and blocks with their sizes", () => {
  assertEquals(stateOf(stream()), {
    "ram (7)": {
      "section sizes": { "pc.ram": "0x0000000000003000", rom: "0x0000000000001000" },
    },
    "d (10)": { n: "0x12", b: true },
    "e (11)": { data: "01 02" },
  });
});

Deno.test("writeState() writes every page that came, as it came last", () => {
  const { memory } = stateOf(stream(), true)["ram (7)"];
  assertEquals(memory, {
    "pc.ram (0x0000000000000000)": "Filled with 0x00",
    "pc.ram (0x0000000000002000)": pageOf(1).toHex().replace(/..(?=.)/g, "$& "),
    "rom (0x0000000000000000)": "Filled with 0xff",
  });
});

Deno.test("writeState() writes every page of a mapped-ram file", async () => {
  const mapped = analyzed(await readGolden("mapped-ram-10.0"));
  const { memory, "section sizes": sizes } = stateOf(mapped, true)["ram (1)"];
  const pages = Object.values<string>(sizes).reduce(
    (sum, size) => sum + Number(size) / PAGE_SIZE,
    0,
  );
  const values = Object.values<string>(memory);
  assertEquals(values.length, pages);
  const there = values.filter((value) => value !== "Filled with 0x00").length;
  assertEquals(there, mapped.analysis.ram!.blocks.reduce((sum, { sent }) => sum + sent, 0));
});

Deno.test("writeState() writes dirty bitmaps, and nothing for what is only passed over", async () => {
  const bitmaps = stateOf(analyzed(await readGolden("dirty-bitmap-10.0")))["dirty-bitmap (2)"] ??
    Object.entries(stateOf(analyzed(await readGolden("dirty-bitmap-10.0"))))
      .find(([name]) => name.startsWith("dirty-bitmap"))![1];
  assertEquals(bitmaps.bitmaps.length, 2);
  const live = new StreamBuilder().raw((writer) => {
    writer.u8(1).be32(3).countedString("spapr/htab").be32(0).be32(1).be32(24).u8(0x7e).be32(3);
  });
  assertEquals(stateOf(analyzed(live.finish())), { "spapr/htab (3)": "" });
  assertEquals(new ByteWriter().length, 0);
});

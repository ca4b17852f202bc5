import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { summarize, summaryText } from "../../src/analyze/summary.ts";
import { analyzeStream } from "../../src/analyze/analyze_stream.ts";
import { Command } from "../../src/wire/command.ts";
import { readGolden } from "../support/golden.ts";
import { analyzed } from "./fixtures/analyzed.ts";
import { fileOf } from "./fixtures/memory_bytes.ts";
import { PAGE_SIZE, pageOf, StreamBuilder } from "./fixtures/stream_builder.ts";

function stream() {
  const builder = new StreamBuilder().blocks({ "pc.ram": 300 * PAGE_SIZE, rom: PAGE_SIZE });
  builder.pages((records) => {
    for (let page = 0; page < 100; page++) records.normal("pc.ram", page, pageOf(page));
    records.zero("pc.ram", 200).zero("rom", 0);
  });
  builder.pages((records) => records.normal("pc.ram", 3, pageOf(1)).xbzrle("pc.ram", 4, [0, 1, 7]));
  builder.command(Command.SWITCHOVER_START).pages((records) => records.zero("pc.ram", 3), "end");
  return builder.device("d", [1], [{ name: "f", type: "uint8", size: 1 }]).finish();
}

const EXPECTED = `image: made, 405.8 KiB, target page 4 KiB
Description: 135 B for 1 device

RAM: 1.2 MiB in 2 blocks, 3 rounds
  block      size  pages  normal  zero  xbzrle  again  not sent
  pc.ram  1.2 MiB    300     101     2       1      2       199
  rom       4 KiB      1       0     1       0      0         0
  round       at  pages  zero
      1     0x66    102     2
      2  0x64671      2     0
      3  0x656ac      1     1

Elements, in order:
       at     size           what              version
     0x11       65  start    ram/0                   4
     0x52  415,297  part ×2  ram/0                   4
  0x65693        5  command  SWITCHOVER_START
  0x65698       34  end      ram/0                   4
  0x656ba       21  full     d/0                     1

Odd:
  199 pages did not come here: over other channels, or not at all.
`;

Deno.test("summaryText() says what a stream is", () => {
  const text = summaryText(analyzed(stream()).analysis);
  assertEquals(text, EXPECTED);
});

Deno.test("summarize() counts pages, rounds and elements", () => {
  const { blocks, rounds, elements, ...summary } = summarize(analyzed(stream()).analysis);
  assertEquals(blocks, [
    {
      ...{ name: "pc.ram", size: 300 * PAGE_SIZE, pages: 300 },
      ...{ normal: 101, zero: 2, xbzrle: 1, compressed: 0, again: 2, missing: 199 },
    },
    {
      ...{ name: "rom", size: PAGE_SIZE, pages: 1 },
      ...{ normal: 0, zero: 1, xbzrle: 0, compressed: 0, again: 0, missing: 0 },
    },
  ]);
  assertEquals(rounds.map(({ pages, zero }) => [pages, zero]), [[102, 2], [2, 0], [1, 1]]);
  assertEquals(elements.map(({ kind, name, count }) => `${kind} ${name} ${count}`), [
    ...["start ram/0 1", "part ram/0 2", "command SWITCHOVER_START 1", "end ram/0 1", "full d/0 1"],
  ]);
  assertEquals([summary.machine, summary["page-size"], summary.odd, summary.failure], [
    ...[
      "made",
      4096,
      ["199 pages did not come here: over other channels, or not at all."],
      undefined,
    ],
  ]);
});

Deno.test("summarize() says what is odd", async () => {
  const odd = async (name: string) =>
    summarize(analyzeStream(fileOf(await readGolden(name)))).odd.join("\n");
  assertStringIncludes(await odd("multifd-10.0"), "Pages went over multifd channels");
  assertStringIncludes(await odd("multifd-7.2"), "pages did not come here");
  const longer = new Uint8Array([...stream(), 1, 2, 3]);
  assertStringIncludes(summarize(analyzed(longer).analysis).odd.join("\n"), "3 bytes follow");
});

for (
  const [name, ...facts] of [
    ["pc-10.0", "pc-i440fx-10.0", "target page 4 KiB", "pc.ram", "globalstate/0"],
    ["ignore-shared-10.0", "UUID 6d2c1b3a-5f4e-4d6c-8b7a-0123456789ab", "x-ignore-shared"],
    ["mapped-ram-10.0", "every page at its place"],
    ["postcopy-10.0", "No description", "  POSTCOPY_LISTEN", "PING: 3", "POSTCOPY_RAM_DISCARD: "],
    ["xbzrle-10.0", "xbzrle", "3 rounds"],
    ["compress-7.2", "compressed"],
    ["dirty-bitmap-10.0", "Dirty bitmaps:", "granularity", "dirty-bitmap/0"],
  ] as const
) {
  Deno.test(`summaryText() of ${name} has what is special about it`, async () => {
    const text = summaryText(analyzed(await readGolden(name)).analysis);
    for (const fact of facts) assertStringIncludes(text, fact);
    assert(!text.includes("Odd:"));
    assert(text.split("\n").every((line) => line === line.trimEnd()));
  });
}

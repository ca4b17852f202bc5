import { assertEquals } from "@std/assert";
import { compareStreams } from "../../src/analyze/compare_streams.ts";
import { isSame } from "../../src/analyze/difference.ts";
import { readGolden } from "../support/golden.ts";
import { analyzed } from "./fixtures/analyzed.ts";
import { PAGE_SIZE, pageOf, type PageRecords, StreamBuilder } from "./fixtures/stream_builder.ts";

const MIB = 1024 ** 2;

function stream(pages: (records: PageRecords) => void, blocks = { a: MIB, b: MIB }) {
  return analyzed(new StreamBuilder().blocks(blocks).pages(pages).finish());
}

Deno.test("compareStreams() finds no difference where there is none, however the pages came", () => {
  const first = stream((records) =>
    records.normal("a", 1, pageOf(1)).zero("a", 2).normal("b", 255, pageOf(2))
  );
  const second = stream((records) =>
    records.normal("b", 255, pageOf(3)).normal("a", 3, new Uint8Array(PAGE_SIZE)).zero("a", 1)
      .normal("a", 1, pageOf(1)).normal("b", 255, pageOf(2))
  );
  assertEquals(isSame(compareStreams(first, second)), true);
});

Deno.test("compareStreams() finds the pages that differ, in runs", () => {
  const first = stream((records) => {
    for (const page of [0, 1, 2, 9, 255]) records.normal("a", page, pageOf(page));
    records.zero("a", 20, 1);
  });
  const second = stream((records) => {
    records.normal("a", 1, pageOf(1)).normal("a", 0, pageOf(7)).normal("a", 2, pageOf(8));
    records.normal("a", 3, pageOf(9)).normal("a", 255, pageOf(255)).zero("a", 20, 2);
  });
  assertEquals(compareStreams(first, second), {
    machine: [],
    blocks: [{
      block: "a",
      in: "both",
      pages: 5,
      ranges: [[0, PAGE_SIZE], [2 * PAGE_SIZE, 2 * PAGE_SIZE], [9 * PAGE_SIZE, PAGE_SIZE], [
        20 * PAGE_SIZE,
        PAGE_SIZE,
      ]],
      rangeCount: 4,
    }],
    devices: [],
  });
});

Deno.test("compareStreams() lists so many runs and counts all", () => {
  const first = stream((records) => {
    for (let page = 0; page < 200; page += 2) records.normal("a", page, pageOf(page));
    records.normal("a", 199, pageOf(1));
  });
  const [block] = compareStreams(first, stream(() => {})).blocks;
  assertEquals([block!.pages, block!.rangeCount, block!.ranges.length], [101, 100, 64]);
  assertEquals(block!.ranges.at(-1), [126 * PAGE_SIZE, PAGE_SIZE]);
});

Deno.test("compareStreams() finds blocks of one side, and of two lengths", () => {
  const first = stream((records) => records.normal("a", 1, pageOf(1)), { a: MIB, b: MIB });
  const second = analyzed(new StreamBuilder().blocks({ a: 2 * MIB, c: MIB }).finish());
  const none = { pages: 0, ranges: [], rangeCount: 0 };
  assertEquals(compareStreams(first, second).blocks, [
    {
      ...{ block: "a", in: "both", length: [MIB, 2 * MIB], pages: 1, rangeCount: 1 },
      ranges: [[PAGE_SIZE, PAGE_SIZE]],
    },
    { block: "b", in: "first", ...none },
    { block: "c", in: "second", ...none },
  ]);
});

Deno.test("compareStreams() finds what machines they are", () => {
  const first = analyzed(new StreamBuilder(["x"], "old").finish());
  const second = analyzed(new StreamBuilder([], "new").finish());
  assertEquals(compareStreams(first, second).machine, [
    { what: "machine", first: "old", second: "new" },
    { what: "capabilities", first: "x", second: undefined },
  ]);
});

Deno.test("compareStreams() compares machines of two QEMUs", async () => {
  const [first, second] = [
    analyzed(await readGolden("pc-7.2")),
    analyzed(await readGolden("pc-10.0")),
  ];
  assertEquals(isSame(compareStreams(first, first)), true);
  const { machine, blocks, devices } = compareStreams(first, second);
  assertEquals(machine[0], { what: "machine", first: "pc-i440fx-7.2", second: "pc-i440fx-10.0" });
  assertEquals(blocks.some(({ block, pages }) => block === "pc.ram" && pages > 0), true);
  const global = devices.find(({ device }) => device === "globalstate/0")!;
  assertEquals(global.fields.some(({ what }) => what === "runstate"), true);
});

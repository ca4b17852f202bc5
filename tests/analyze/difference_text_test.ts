import { assertEquals } from "@std/assert";
import { differenceText } from "../../src/analyze/difference_text.ts";

const none = { machine: [], blocks: [], devices: [] };

Deno.test("differenceText() says that nothing differs", () => {
  assertEquals(differenceText(none, ["a", "b"]), "a and b hold the same machine\n");
});

Deno.test("differenceText() names what differs and who has it", () => {
  const ranges = Array.from({ length: 12 }, (_, i): [number, number] => [i * 8192, 4096]);
  const text = differenceText({
    machine: [{ what: "machine", first: "pc", second: undefined }],
    blocks: [
      { block: "ram", in: "both", length: [1, 2], pages: 1, ranges: [[0, 4096]], rangeCount: 1 },
      { block: "many", in: "both", pages: 100, ranges, rangeCount: 100 },
      { block: "gone", in: "first", pages: 0, ranges: [], rangeCount: 0 },
    ],
    devices: [
      {
        device: "d/0",
        in: "both",
        fields: [{ what: "x\x1b[1m", first: "1", second: "2" }],
        count: 3,
      },
      { device: "new/0", in: "second", fields: [], count: 0 },
    ],
  }, ["one", "two"]);
  const listed = ranges.slice(0, 10).map(([at, length]) =>
    `  0x${at.toString(16)} to 0x${(at + length).toString(16)}`
  );
  assertEquals(text.split("\n"), [
    "one -> two",
    "machine: pc -> (nothing)",
    "RAM block ram: 1 bytes -> 2 bytes",
    "RAM block ram: 1 page in 1 run",
    "  0x0 to 0x1000",
    "RAM block many: 100 pages in 100 runs",
    ...listed,
    "  and 90 runs more",
    "RAM block gone: only in one",
    "d/0: 3 values",
    "  x\\u{1b}[1m: 1 -> 2",
    "  and 2 values more",
    "new/0: only in two",
    "",
  ]);
});

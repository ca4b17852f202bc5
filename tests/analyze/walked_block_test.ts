import { assertEquals } from "@std/assert";
import { WalkedBlock } from "../../src/analyze/walked_block.ts";

const listed = {
  name: "b",
  firstPage: 0,
  pageSize: 4096,
  address: undefined,
  hostPageSize: undefined,
};

Deno.test("A WalkedBlock knows how often each page came, and as what", () => {
  const block = new WalkedBlock({ ...listed, length: 200_000 * 4096 + 1 });
  assertEquals(block.pages, 200_001);
  block.count(0, "normal");
  block.count(200_000, "zero");
  block.count(200_000, "xbzrle");
  for (let i = 0; i < 300; i++) block.count(65_536, "compressed");
  assertEquals([0, 1, 65_536, 200_000].map((page) => block.timesSent(page)), [1, 0, 255, 2]);
  assertEquals([block.sent, block.sentAgain], [3, 2]);
  assertEquals(block.records, { normal: 1, zero: 1, xbzrle: 1, compressed: 300 });
});

import { assertEquals, assertThrows } from "@std/assert";
import { spool } from "../../src/analyze/spool.ts";
import { pipeOf } from "./fixtures/memory_bytes.ts";

Deno.test("spool() makes of a pipe what can be read at any place", () => {
  const bytes = Uint8Array.from({ length: 700_000 }, (_, i) => i * 3 + (i >> 9));
  using file = spool(pipeOf(bytes, 70_001));
  assertEquals([file.name, file.size], ["pipe", bytes.length]);
  const end = new Uint8Array(1000);
  assertEquals(file.read(end, bytes.length - 900), 900);
  assertEquals(end.subarray(0, 900), bytes.subarray(-900));
});

Deno.test("spool() fails as its source does", () => {
  const broken = {
    ...pipeOf(new Uint8Array(0)),
    read: (): number => {
      throw new Error("the cable");
    },
  };
  assertThrows(() => spool(broken), Error, "the cable");
});

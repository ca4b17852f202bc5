import { assertEquals } from "@std/assert";
import { XbzrleControl } from "../../src/ram/xbzrle_control.ts";

Deno.test("XbzrleControl shows both threads the same settings and counters, each apart", () => {
  const here = XbzrleControl.create(65536);
  const there = new XbzrleControl(here.buffer);
  assertEquals([there.cacheSize, there.round, there.lastStage], [65536, 0, false]);
  here.round = 3;
  here.lastStage = true;
  here.cacheSize = 2 ** 40;
  assertEquals([there.cacheSize, there.round, there.lastStage], [2 ** 40, 3, true]);
  there.count("bytes", 100);
  there.count("pages", 2);
  there.count("cacheMiss", 3);
  there.count("overflow", 4);
  there.count("bytes", 2 ** 40);
  assertEquals(
    [here.counter("bytes"), here.counter("pages"), here.counter("cacheMiss")],
    [2 ** 40 + 100, 2, 3],
  );
  assertEquals([here.counter("overflow"), here.round, here.lastStage], [4, 3, true]);
});

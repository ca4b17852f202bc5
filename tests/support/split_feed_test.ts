import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { byteByByte, everySplit, SplitFeed } from "./split_feed.ts";

const bytes = Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7]);

Deno.test("SplitFeed gives pieces as they are waited for", async () => {
  const feed = new SplitFeed(bytes, [3, 2]);
  assertEquals(feed.available, 0);
  assertEquals(await feed.wait(1), 3);
  assertEquals(await feed.wait(4), 5);
  feed.consume(5);
  assertEquals([feed.position, feed.available], [5, 0]);
  assertEquals(await feed.wait(1), 3, "what the sizes leave is one piece");
  assertEquals(await feed.wait(9), 3, "the stream has ended");
});

Deno.test("SplitFeed refuses to show or give what has not arrived", async () => {
  const feed = new SplitFeed(bytes, [2]);
  await feed.wait(1);
  const two = new Uint8Array(2);
  feed.peek(two);
  assertEquals([...two], [0, 1]);
  assertThrows(() => feed.peek(two, 1), RangeError, "2 have arrived");
  assertThrows(() => feed.consume(3), RangeError, "2 have arrived");
});

Deno.test("SplitFeed has a window", async () => {
  const feed = new SplitFeed(bytes, [100], 3);
  await assertRejects(() => feed.wait(4), RangeError, "in a window of 3");
  assertEquals(await feed.wait(1), 3);
  feed.consume(1);
  assertEquals(await feed.wait(3), 3);
});

Deno.test("byteByByte() and everySplit() deliver every byte", async () => {
  const whole = [...bytes];
  const one = byteByByte(bytes);
  assertEquals([...await one.bytes(8, 8, "all")], whole);
  let cuts = 0;
  for (const { reader } of everySplit(bytes)) {
    assertEquals([...await reader.bytes(8, 8, "all")], whole);
    assertEquals(await reader.atEnd(), true);
    cuts++;
  }
  assertEquals(cuts, 9);
});

import { assertEquals } from "@std/assert";
import { MemorySource } from "../../src/wire/byte_source.ts";

Deno.test("MemorySource looks without consuming, and counts from its base", async () => {
  const source = new MemorySource(Uint8Array.of(1, 2, 3, 4), 100);
  assertEquals([source.position, source.available, source.window], [100, 4, 4]);
  const two = new Uint8Array(2);
  source.peek(two, 1);
  assertEquals([...two], [2, 3]);
  source.consume(3);
  assertEquals([source.position, source.available], [103, 1]);
  assertEquals(await source.wait(5), 1);
});

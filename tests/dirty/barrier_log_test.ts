import "../support/load_libc.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { BarrierLog, markWritten } from "../../src/dirty/barrier_log.ts";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import type { MarkerRequest } from "./marker.ts";

Deno.test("markWritten() marks every page a range touches, and no other", async () => {
  const ram = GuestRam.create([{ name: "ram", length: 4096 * 100 }]);
  const block = ram.blocks[0]!;
  const log = new BarrierLog(ram);
  await log.start();
  markWritten(block, 4096 * 3 - 1, 2);
  markWritten(block, 4096 * 30, 4096 * 40);
  markWritten(block, 4096 * 90, 0);
  markWritten(block, 4096 * 100 - 1, 1);
  assertEquals(await log.sync(), 2 + 40 + 1);
  assertEquals(block.dirty.next(0), 2);
  assertEquals([block.dirty.next(4), block.dirty.next(30, false)], [30, 70]);
  assertEquals(block.dirty.next(70), 99);
  assertEquals(block.barrier.count(), 0);
});

Deno.test("markWritten() refuses what is not inside the block", () => {
  const block = GuestRam.create([{ name: "ram", length: 4096 }]).blocks[0]!;
  for (const [offset, length] of [[-1, 1], [4096, 1], [0, 4097], [1, -1], [Infinity, 1]]) {
    assertThrows(() => markWritten(block, offset!, length!), RangeError);
  }
  assertEquals(block.barrier.count(), 0);
});

Deno.test("BarrierLog does not pass on marks for pages that the block does not have", async () => {
  const ram = GuestRam.create([{ name: "ram", length: 4096 * 5 }]);
  const block = ram.blocks[0]!;
  const log = new BarrierLog(ram);
  await log.start();
  block.barrier.words.fill(-1);
  assertEquals(await log.sync(), 5);
  assertEquals([...block.dirty.words].filter((word) => word !== 0), [0b11111]);
});

Deno.test("BarrierLog takes each mark once, from a guest that marks all the while", async () => {
  // No page is touched; there are only many bits.
  const ram = GuestRam.create([{ name: "ram", length: 4 * 1024 ** 3 }], { pageSize: 1024 });
  const block = ram.blocks[0]!;
  const log = new BarrierLog(ram);
  await log.start();
  const marker = new Worker(new URL("./marker.ts", import.meta.url), { type: "module" });
  const done = new Int32Array(new SharedArrayBuffer(4));
  const request: MarkerRequest = { layout: ram.layout, done };
  marker.postMessage(request);
  let taken = 0;
  for (let last = false; !last;) {
    last = Atomics.load(done, 0) !== 0;
    taken += await log.sync();
    if (taken === 0) await Atomics.waitAsync(done, 0, 0, 1).value;
  }
  assertEquals([taken, block.dirty.count()], [block.pageCount, block.pageCount]);
  marker.terminate();
});

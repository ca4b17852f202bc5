import { assert, assertEquals } from "@std/assert";
import { Blocktime, sharedTime } from "../../src/postcopy/blocktime.ts";

Deno.test("Blocktime counts each vCPU, and for how long all stood still", () => {
  const blocktime = Blocktime.create(2);
  const other = new Blocktime(blocktime.memory);
  blocktime.begin(0, 1, 100, 1000);
  blocktime.begin(1, 1, 200, 1010);
  blocktime.begin(undefined, 0, 7, 1012);
  // Another page than anybody waits for, and the right page of another block.
  other.end(1, 300, 1013);
  other.end(0, 100, 1013);
  other.end(1, 100, 1014);
  other.end(1, 200, 1030);
  other.end(0, 7, 1032);
  assertEquals(blocktime.perVcpu, [14, 20]);
  assertEquals(blocktime.total, 4);
  assertEquals(blocktime.averages, [14e6, 20e6, 20e6]);
  assertEquals(blocktime.latencies.count, 3);
  assertEquals(blocktime.latencies.average, 18e6);
});

Deno.test("Blocktime: who faults again has what it waited for, though nobody has said so", () => {
  const blocktime = Blocktime.create(1);
  blocktime.begin(0, 0, 1, 10);
  blocktime.begin(0, 0, 1, 11);
  blocktime.begin(0, 0, 2, 15);
  blocktime.end(0, 1, 16);
  blocktime.end(0, 2, 18);
  blocktime.end(0, 2, 99);
  assertEquals([blocktime.perVcpu, blocktime.total], [[8], 8]);
  assertEquals(blocktime.latencies.count, 2);
});

Deno.test("Blocktime's distribution has QMP's windows, and percentiles between them", () => {
  const blocktime = Blocktime.create(1);
  assertEquals(blocktime.latencies.p50, 0);
  let page = 0;
  const fault = (microseconds: number) => {
    blocktime.begin(0, 0, page, 0);
    blocktime.end(0, page++, microseconds / 1000);
  };
  for (let i = 0; i < 98; i++) fault(100);
  fault(3000);
  fault(0.5);
  fault(2 ** 60);
  const { distribution, p50, p99 } = blocktime.latencies;
  assertEquals(distribution.length, 24);
  // 64 to 128 µs, 2048 to 4096 µs, below 1 µs, and what is beyond all windows.
  assertEquals([distribution[6], distribution[11], distribution[0], distribution[23]], [
    ...[98, 1, 1, 1],
  ]);
  assert(p50 > 90_000 && p50 < 112_000, `${p50}`);
  assert(p99 > 2_500_000 && p99 < 3_500_000, `${p99}`);
});

Deno.test("sharedTime() goes on", () => {
  assert(Math.abs(sharedTime() - Date.now()) < 60_000);
});

import { assertEquals } from "@std/assert";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { Presence } from "../../src/machine/presence.ts";
import { until } from "./fixtures/until.ts";

const WAITER = new URL("./fixtures/page_waiter.ts", import.meta.url);

Deno.test("Presence: a vCPU waits until its page is placed, and says for which", async () => {
  const ram = GuestRam.create([{ name: "a", length: 4096 }, { name: "b", length: 8 * 4096 }]);
  const block = ram.blocks[1]!;
  const presence = Presence.create(3);
  assertEquals([presence.vcpus, presence.wanted(1)], [3, undefined]);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(WAITER, { type: "module" });
  const answers: boolean[] = [];
  worker.onmessage = ({ data }) => answers.push(data);
  const ask = (page: number) =>
    worker.postMessage({ ram: ram.layout, memory: presence.memory, block: 1, page, stop });

  const { bell } = presence;
  ask(5);
  await presence.asked(bell);
  await until(() => presence.wanted(1) !== undefined);
  assertEquals(presence.wanted(1), { block: 1, page: 5 });
  assertEquals([presence.wanted(0), presence.wanted(2)], [undefined, undefined]);
  block.received.add(4);
  presence.placed();
  block.received.add(5);
  presence.placed();
  await until(() => answers.length === 1);
  assertEquals([answers, presence.wanted(1)], [[true], undefined]);

  // A page that is there is not waited for.
  const quiet = presence.bell;
  ask(5);
  await until(() => answers.length === 2);
  assertEquals([answers[1], presence.bell], [true, quiet]);

  ask(6);
  await until(() => presence.wanted(1)?.page === 6);
  Atomics.store(stop, 0, 1);
  await until(() => answers.length === 3);
  assertEquals([answers[2], presence.wanted(1)], [false, undefined]);
  worker.terminate();
});

Deno.test("Presence knows which thread is which vCPU", () => {
  const presence = Presence.create(2);
  assertEquals(presence.vcpuOf(0), undefined);
  presence.setThread(1, 4711);
  assertEquals([presence.vcpuOf(4711), presence.vcpuOf(4712), presence.vcpuOf(0)], [
    ...[1, undefined, undefined],
  ]);
});

Deno.test("Presence.ring() ends a wait for vCPUs", async () => {
  const presence = Presence.create(0);
  const waiting = presence.asked(presence.bell);
  presence.ring();
  await waiting;
});

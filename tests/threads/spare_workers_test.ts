import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import { SpareWorkers } from "../../src/threads/spare_workers.ts";
import { WorkerHandle } from "../../src/threads/worker_handle.ts";
import type { Start } from "./fixtures/worker.ts";

const url = new URL("./fixtures/worker.ts", import.meta.url);

Deno.test("SpareWorkers gives as many threads as were prepared, each once", async () => {
  await using spares = new SpareWorkers();
  spares.prepare(url, 2);
  await spares.ready();
  const taken = [spares.take(url), spares.take(url)];
  assert(taken[0] && taken[1] && taken[0] !== taken[1]);
  assertEquals(spares.take(url), undefined);
  await Promise.all(taken.map((worker) => worker!.terminate()));
});

Deno.test("SpareWorkers.prepare() fills up to the number, and not beyond", async () => {
  await using spares = new SpareWorkers();
  spares.prepare(url, 1);
  await spares.ready();
  spares.prepare(url, 2);
  spares.prepare(url, 1);
  await spares.ready();
  const taken = [spares.take(url), spares.take(url)];
  assert(taken.every((worker) => worker !== undefined));
  assertEquals(spares.take(url), undefined);
  await Promise.all(taken.map((worker) => worker!.terminate()));
});

Deno.test("A WorkerHandle takes a spare thread and works as ever", async () => {
  await using spares = new SpareWorkers();
  spares.prepare(url, 1);
  await spares.ready();
  const heard = Promise.withResolvers<string>();
  const start = () =>
    WorkerHandle.start<Start, string, string>({
      ...{ name: "fixture", url, spares, start: { behaviour: "echo" } },
      onMessage: heard.resolve,
    });
  await using worker = await start();
  worker.post("spare");
  assertEquals(await heard.promise, "SPARE");
  assertEquals(spares.take(url), undefined, "it was the spare one");
  // Without one left, a new one is started.
  await using another = await start();
  assertEquals(another.name, "fixture");
});

Deno.test("SpareWorkers has nothing of a module that cannot be loaded, and none of one nobody prepared", async () => {
  await using spares = new SpareWorkers();
  const nobody = new URL("./fixtures/nobody.js", import.meta.url);
  spares.prepare(nobody, 2);
  await spares.ready();
  assertStrictEquals(spares.take(nobody), undefined);
  assertStrictEquals(spares.take(url), undefined);
});

Deno.test("SpareWorkers ends the threads that nobody took, also while they are being started", async () => {
  const spares = new SpareWorkers();
  spares.prepare(url, 5);
  await spares[Symbol.asyncDispose]();
  assertStrictEquals(spares.take(url), undefined);
});

Deno.test("SpareWorkers' threads rehearse, and those that are started when they are needed do not", async () => {
  for (const reserve of [1, 0]) {
    await using spares = new SpareWorkers();
    spares.prepare(url, reserve);
    await spares.ready();
    const said = Promise.withResolvers<string>();
    await using worker = await WorkerHandle.start<Start, string, string>({
      ...{ name: "fixture", url, spares, start: { behaviour: "say whether it has rehearsed" } },
      onMessage: said.resolve,
    });
    assertEquals(await said.promise, reserve === 1 ? "yes" : "no");
    await worker.ended;
  }
});

Deno.test("SpareWorkers.ready() does not wait for a thread that was taken while it was being started", async () => {
  await using spares = new SpareWorkers();
  spares.prepare(url, 2);
  let taken;
  // The first is started in the next turn of the event loop, and loads its module for longer.
  while (!(taken = spares.take(url))) await new Promise((resolve) => setImmediate(resolve));
  await spares.ready();
  await taken.terminate();
});

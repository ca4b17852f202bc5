import { assert, assertEquals, assertStrictEquals } from "@std/assert";
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

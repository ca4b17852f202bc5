import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { StreamFormatError, WorkerFailedError } from "../../src/errors.ts";
import { WorkerHandle } from "../../src/threads/worker_handle.ts";
import type { Start } from "./fixtures/worker.ts";

const url = new URL("./fixtures/worker.ts", import.meta.url);

function start(
  behaviour: Start["behaviour"],
  onMessage?: (message: string) => void,
): Promise<WorkerHandle<Start, string, string>> {
  return WorkerHandle.start({
    name: "fixture",
    url,
    start: { behaviour },
    ...(onMessage && { onMessage }),
  });
}

Deno.test("WorkerHandle.start() hands messages both ways until stop()", async () => {
  const received: string[] = [];
  const first = Promise.withResolvers<void>();
  const worker = await start("echo", (message) => {
    received.push(message);
    first.resolve();
  });
  worker.post("one");
  worker.post("two");
  await first.promise;
  await worker.stop();
  await worker.ended;
  // What was posted before the stop may or may not have been served; what the worker said last is heard.
  assertEquals(received[0], "ONE");
  assertEquals(received.at(-1), "goodbye");
});

Deno.test("WorkerHandle.stop() can be called twice, and post() after it goes nowhere", async () => {
  const worker = await start("echo");
  await Promise.all([worker.stop(), worker.stop()]);
  worker.post("late");
  await worker.stop();
});

Deno.test("WorkerHandle.start() throws what the worker threw before it was ready", async () => {
  const error = await assertRejects(
    () => start("throw before ready"),
    WorkerFailedError,
    "Worker fixture failed: no such thing",
  );
  assertEquals((error.cause as Error).name, "RangeError");
});

Deno.test("WorkerHandle.start() refuses a worker that ends before it is ready", async () => {
  await assertRejects(() => start("return before ready"), WorkerFailedError, "before it was ready");
});

Deno.test("WorkerHandle.start() refuses a module that is not there", async () => {
  await assertRejects(
    () =>
      WorkerHandle.start({
        name: "nobody",
        url: new URL("./fixtures/nobody.js", import.meta.url),
        start: {},
      }),
    WorkerFailedError,
    "Worker nobody failed",
  );
});

Deno.test("WorkerHandle.start() refuses a start message that cannot be cloned", async () => {
  await assertRejects(
    () => WorkerHandle.start({ name: "fixture", url, start: { behaviour: () => {} } }),
    DOMException,
    "could not be cloned",
  );
});

Deno.test("WorkerHandle.ended rejects with the worker's own error, its class and place kept", async () => {
  await using worker = await start("throw ours");
  const error = await assertRejects(() => worker.ended, StreamFormatError, "Bad magic 1");
  assertEquals(error.place, { channel: "multifd 3", offset: 16 });
  assertEquals(error.advice, "Try again");
  assertInstanceOf(error.cause, Error);
  assertEquals(error.cause.name, "TypeError");
});

for (
  const [behaviour, words] of [
    ["throw in a timer", "late"],
    ["reject unheard", "unheard"],
    ["exit", "exited with code 3"],
  ] as const
) {
  Deno.test(`WorkerHandle.ended rejects when a worker's code does this: ${behaviour}`, async () => {
    await using worker = await start(behaviour);
    await assertRejects(() => worker.ended, WorkerFailedError, words);
  });
}

Deno.test("WorkerHandle.ended rejects when the handler of messages throws", async () => {
  await using worker = await start("echo", () => {
    throw new Error("bad handler");
  });
  worker.post("one");
  await assertRejects(() => worker.ended, WorkerFailedError, "bad handler");
});

Deno.test("WorkerHandle.stop() interrupts a worker that blocks, and hears it out", async () => {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const received: string[] = [];
  const worker = await WorkerHandle.start<Start, never, string>({
    name: "blocked",
    url,
    start: { behaviour: "wait on a word", word },
    onMessage: (message) => received.push(message),
    interrupt: () => {
      Atomics.store(word, 0, 1);
      Atomics.notify(word, 0);
    },
  });
  await worker.stop();
  assertEquals(received, ["woken"]);
});

for (
  const [what, program, said] of [
    ["stop() ends with a worker that never looks up", "abandon_stuck_worker", "stopped"],
    ["ended resolves with a worker that nobody stops then", "leave_ended_worker", "ended"],
  ] as const
) {
  Deno.test(`WorkerHandle.${what}, and the process ends, too`, async () => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-read",
        new URL(`./fixtures/${program}.ts`, import.meta.url).href,
      ],
      signal: AbortSignal.timeout(120_000),
    }).output();
    assertEquals(new TextDecoder().decode(stdout), `${said}\n`);
    assert(code === 0, new TextDecoder().decode(stderr));
  });
}

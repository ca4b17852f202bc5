import { assert, assertEquals, assertRejects } from "@std/assert";
import { Worker } from "node:worker_threads";
import { CancelledError } from "../../src/errors.ts";
import { SyncGate } from "../../src/multifd/sync_gate.ts";

const NO_TROUBLE = () => {};

/** A thread that arrives again and again, and says when it was let go. */
class Arriving implements AsyncDisposable {
  readonly #worker: Worker;
  readonly released: boolean[] = [];
  readonly ended: Promise<unknown>;
  #wake = Promise.withResolvers<void>();

  constructor(gate: SyncGate, channel: number, times: number) {
    this.#worker = new Worker(new URL("./fixtures/gate_worker.ts", import.meta.url), {
      workerData: { buffer: gate.buffer, channel, times },
    });
    this.#worker.on("message", (goOn: boolean) => {
      this.released.push(goOn);
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    });
    this.ended = new Promise((resolve) => this.#worker.once("exit", resolve));
  }

  async hasBeenReleased(times: number): Promise<void> {
    while (this.released.length < times) await this.#wake.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ended;
  }
}

Deno.test("SyncGate holds each channel until all have come and the mark is met", async () => {
  const gate = SyncGate.create(3);
  assertEquals([gate.channels, gate.missing()], [3, [0, 1, 2]]);
  await using first = new Arriving(gate, 0, 2);
  await using second = new Arriving(gate, 2, 2);
  const met = gate.meet(NO_TROUBLE, () => {
    assertEquals([first.released, second.released], [[], []], "none goes on before");
  });
  await using third = new Arriving(gate, 1, 2);
  await met;
  for (const each of [first, second, third]) await each.hasBeenReleased(1);
  await gate.meet(NO_TROUBLE);
  for (const each of [first, second, third]) {
    await each.hasBeenReleased(2);
    assertEquals(each.released, [true, true]);
  }
});

Deno.test("SyncGate lets a channel through at once that comes after its mark was met", async () => {
  const gate = SyncGate.create(1);
  await using channel = new Arriving(gate, 0, 3);
  for (let mark = 0; mark < 3; mark++) await gate.meet(NO_TROUBLE);
  await channel.hasBeenReleased(3);
  assertEquals(gate.missing(), [0], "the fourth SYNC has not come");
});

Deno.test("SyncGate.meet() throws what its check throws, and wake() makes it look", async () => {
  const gate = SyncGate.create(2);
  let trouble = false;
  let looks = 0;
  const meeting = gate.meet(() => {
    looks++;
    if (trouble) throw new CancelledError("enough");
  });
  assert(looks > 0);
  trouble = true;
  gate.wake();
  await assertRejects(() => meeting, CancelledError, "enough");
});

Deno.test("SyncGate.stop() lets go who waits and who comes later", async () => {
  const gate = SyncGate.create(2);
  await using waiting = new Arriving(gate, 0, 1);
  const check = () => {
    if (gate.stopped) throw new CancelledError("stopped");
  };
  const meeting = gate.meet(check);
  while (gate.missing().includes(0)) await new Promise((resolve) => setTimeout(resolve));
  gate.stop();
  await assertRejects(() => meeting, CancelledError);
  await waiting.hasBeenReleased(1);
  assertEquals(waiting.released, [false]);
  assertEquals(gate.arrive(1), false);
});

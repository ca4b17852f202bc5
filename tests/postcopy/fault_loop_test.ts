import { assertEquals } from "@std/assert";
import { FaultLoop, type FromFault, type ToFault } from "../../src/postcopy/fault_loop.ts";
import type { WorkerPort } from "../../src/threads/worker_port.ts";
import { EventLog } from "../support/event_log.ts";
import { connectedSpecs } from "../ram/fixtures/channels.ts";
import { keepEventLoop } from "../transport/connected.ts";
import { Missing } from "./fixtures/missing.ts";
import { ReturnPathReader } from "./fixtures/return_path_reader.ts";

/** A port in this thread. */
class LocalPort implements WorkerPort<ToFault, FromFault> {
  readonly posted = new EventLog<FromFault>();
  readonly #queue: ToFault[] = [];
  #ended = false;
  #wake = () => {};

  give(message: ToFault | undefined): void {
    if (message) this.#queue.push(message);
    else this.#ended = true;
    this.#wake();
  }

  ready(): void {}

  post(message: FromFault): void {
    this.posted.push(message);
  }

  async receive(): Promise<ToFault | undefined> {
    while (this.#queue.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#queue.shift();
  }

  async *[Symbol.asyncIterator]() {
    for (let next; (next = await this.receive());) yield next;
  }

  async answered(id: number): Promise<FromFault["kind"]> {
    const index = await this.posted.wait(
      (message) => message.kind !== "lost" && message.id === id,
      { what: `an answer to ${id}` },
    );
    return this.posted.entries[index]!.kind;
  }
}

Deno.test("FaultLoop asks for pages that guests ask for, once, until it is held", async () => {
  using _loop = keepEventLoop();
  using missing = new Missing("checks");
  const { from, to } = await connectedSpecs();
  const port = new LocalPort();
  const words = new SharedArrayBuffer(8);
  const loop = new FaultLoop({ channel: from, words, bell: undefined }, port);
  const running = loop.run();
  using source = new ReturnPathReader(to);
  port.give({ id: 1, task: { kind: "watch", missing: missing.missing.layout } });
  assertEquals(await port.answered(1), "done");

  const [ram] = missing.ram.blocks;
  const asked: string[] = [];
  for (const page of [3, 9]) {
    // What a vCPU's thread does before it blocks.
    const waiter = new Worker(new URL("../machine/fixtures/page_waiter.ts", import.meta.url), {
      type: "module",
    });
    const { memory } = missing.presence;
    const stop = new Int32Array(new SharedArrayBuffer(4));
    waiter.postMessage({ ram: missing.ram.layout, memory, block: 0, page, stop });
    asked.push((await source.next())!);
    ram!.received.add(page);
    missing.presence.placed();
    const { promise, resolve } = Promise.withResolvers<void>();
    waiter.onmessage = () => resolve();
    await promise;
    waiter.terminate();
  }
  assertEquals(asked, ["REQ_PAGES ram 3", "REQ_PAGES - 9"]);

  port.give({ id: 2, task: { kind: "hold" } });
  port.give({ id: 3, task: { kind: "send", bytes: new Uint8Array(4) } });
  assertEquals([await port.answered(2), await port.answered(3)], ["done", "refused"]);
  port.give(undefined);
  await running;
});

import { assertEquals } from "@std/assert";
import { EventBell } from "../../src/os/event_bell.ts";
import { FaultedPages } from "../../src/postcopy/faulted_pages.ts";
import { AskedPages, FaultPages } from "../../src/postcopy/missing_pages.ts";
import { addressOf } from "../../src/os/host_memory.ts";
import type { TouchRequest } from "../os/toucher.ts";
import { KINDS, Missing } from "./fixtures/missing.ts";
import { until } from "../machine/fixtures/until.ts";

const WAITER = new URL("../machine/fixtures/page_waiter.ts", import.meta.url);
const TOUCHER = new URL("../os/toucher.ts", import.meta.url);

Deno.test("AskedPages tells once of each page that is waited for", async () => {
  using missing = new Missing("checks");
  const asked = new AskedPages(missing.missing.layout);
  const [ram] = missing.ram.blocks;
  const found: [string, number][] = [];
  const collect = () => asked.collect(({ name }, page) => found.push([name, page]));
  collect();
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(WAITER, { type: "module" });
  const { memory } = missing.presence;
  worker.postMessage({ ram: missing.ram.layout, memory, block: 0, page: 7, stop });
  await until(() => missing.presence.wanted(1) !== undefined);
  collect();
  collect();
  assertEquals([found, ram!.requested.has(7)], [[["ram", 7]], true]);
  Atomics.store(stop, 0, 1);
  await until(() => missing.presence.wanted(1) === undefined);
  worker.terminate();
});

Deno.test("MissingPages.wanted() is the first page of the host's, unless that is there", () => {
  using missing = new Missing("checks", 1024);
  const asked = new AskedPages(missing.missing.layout);
  const [ram] = missing.ram.blocks;
  assertEquals(asked.wanted(0, ram!, 6), 4);
  assertEquals(asked.wanted(1, ram!, 7), undefined);
  ram!.received.fill(8, 4, true);
  assertEquals(asked.wanted(0, ram!, 9), undefined);
  assertEquals([ram!.requested.has(4), ram!.requested.count()], [true, 1]);
});

Deno.test({
  name: "FaultPages tells of threads in faults, and gives them the zeros that came before",
  ignore: !KINDS.includes("userfaultfd"),
  async fn() {
    using missing = new Missing("userfaultfd");
    const { layout } = missing.missing;
    const bell = EventBell.create() as EventBell;
    const faults = new FaultPages(layout, layout.userfaultfd!, bell.fd);
    const store = new FaultedPages(layout, layout.userfaultfd!);
    const [ram, more] = missing.ram.blocks;
    const toucher = new Worker(TOUCHER, { type: "module" });
    const read: Uint8Array[] = [];
    toucher.onmessage = ({ data }) => read.push(data);
    const progress = new Int32Array(new SharedArrayBuffer(4));
    const { memory, base } = more!.segments[0]!;
    const touch = (page: number) => {
      const request: TouchRequest = { memory, offset: base + page * 4096, length: 1, progress };
      toucher.postMessage(request);
    };
    const found: [string, number][] = [];
    const wait = () => faults.wait(-1, ({ name }, page) => found.push([name, page]));

    touch(2);
    assertEquals(wait(), 1);
    assertEquals([found, ram!.requested.count()], [[["more", 2]], 0]);
    store.place(more!, 2, missing.content, 4096);
    await until(() => read.length === 1);
    assertEquals(read[0], Uint8Array.of(2));

    // Zeros that came in precopy were not touched, so the kernel has no page.
    more!.received.add(3);
    touch(3);
    assertEquals([wait(), found.length], [1, 1]);
    await until(() => read.length === 2);
    assertEquals([read[1], more!.requested.count()], [Uint8Array.of(0), 0]);

    bell.ring();
    assertEquals(wait(), 0);
    bell.close();
    toucher.terminate();
    assertEquals(typeof addressOf(memory), "number");
  },
});

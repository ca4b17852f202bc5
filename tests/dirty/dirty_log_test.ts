import "../support/load_libc.ts";
import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { BarrierLog, markWritten } from "../../src/dirty/barrier_log.ts";
import { HashLog } from "../../src/dirty/hash_log.ts";
import { KernelLog } from "../../src/dirty/kernel_log.ts";
import { markDirty } from "../../src/dirty/dirty_log.ts";
import { StateError } from "../../src/errors.ts";
import { GuestRam, type GuestRamOptions, type RamBlockSpec } from "../../src/machine/guest_ram.ts";
import type { RamBlock } from "../../src/machine/ram_block.ts";
import { probeHost } from "../../src/os/probe.ts";
import { Replica } from "./replica.ts";
import type { SenderRequest } from "./sender.ts";
import type { WriterRequest } from "./writer.ts";

const lacks = probeHost();

/** Every maker of a dirty log must keep every promise below. */
const MAKERS = [
  { make: (ram: GuestRam) => new KernelLog(ram), ignore: lacks.writeTracking !== undefined },
  { make: (ram: GuestRam) => new BarrierLog(ram), ignore: false },
  { make: (ram: GuestRam) => new HashLog(ram), ignore: false },
].map((maker) => ({ ...maker, kind: maker.make(makeRam()).kind }));

function makeRam(specs: RamBlockSpec[] = [{ name: "ram", length: 65536 }]): GuestRam {
  return GuestRam.create(specs);
}

/** How many pages the writer goes to while its machine is migrated. */
const BURSTS = 3000;

/** Machines of different shapes; the blocks' lengths are in target pages. */
const SHAPES: { shape: string; lengths: number[]; options: GuestRamOptions }[] = [
  { shape: "one block", lengths: [512], options: {} },
  { shape: "one large block, much of it untouched", lengths: [8192], options: {} },
  { shape: "blocks of odd lengths", lengths: [37, 1, 300], options: {} },
  { shape: "blocks packed in one memory", lengths: [5, 33, 1, 100], options: { packed: true } },
  {
    shape: "pages of 1 KiB, packed",
    lengths: [13, 1, 70, 999],
    options: { packed: true, pageSize: 1024 },
  },
  { shape: "pages of 8 KiB", lengths: [3, 97], options: { pageSize: 8192 } },
  { shape: "pages of 64 KiB", lengths: [9, 20], options: { packed: true, pageSize: 65536 } },
];

function makeShape({ lengths, options }: typeof SHAPES[number]): GuestRam {
  const pageSize = options.pageSize ?? 4096;
  const specs = lengths.map((pages, i) => ({ name: `ram${i}`, length: pages * pageSize }));
  return GuestRam.create(specs, options);
}

/** Starts a worker of this folder. @returns A promise of its first message. */
function work(file: string, request: unknown): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const worker = new Worker(new URL(file, import.meta.url), { type: "module" });
  worker.onmessage = () => resolve();
  worker.onerror = (event) => reject(new Error(event.message));
  worker.postMessage(request);
  return promise.finally(() => worker.terminate());
}

/**
 * One thread writes, one sends, and this one syncs; then the writer stops, and after a last sync the
 * sender finishes.
 * @returns What was lost, if anything.
 */
async function migrateUnderWrites(
  ram: GuestRam,
  log: KernelLog | BarrierLog | HashLog,
  marks: boolean,
): Promise<string | undefined> {
  const digests = log.kind === "hash" ? log.digests : undefined;
  const replica = new Replica(ram, digests);
  const control = new Int32Array(new SharedArrayBuffer(8));
  const bursts = () => Atomics.load(control, 1);
  const write: WriterRequest = { layout: ram.layout, marks, seed: 20_250_101, control };
  const stopped = work("./writer.ts", write);
  while (bursts() === 0) await Atomics.waitAsync(control, 1, 0, 10).value;

  await log.start();
  replica.begin();
  const finish = new Int32Array(new SharedArrayBuffer(4));
  const send: SenderRequest = { layout: ram.layout, digests, copies: replica.copies, finish };
  const sent = work("./sender.ts", send);
  for (const from = bursts(); bursts() - from < BURSTS;) {
    await log.sync();
    Atomics.wait(finish, 0, 0, 0.1);
  }

  Atomics.store(control, 0, 1);
  await stopped;
  await log.sync();
  Atomics.store(finish, 0, 1);
  await sent;
  const lost = replica.difference();
  assertEquals(await log.sync(), 0, "nothing is written any more");
  await log.stop();
  return lost;
}

for (const { kind, make, ignore } of MAKERS) {
  for (const shape of SHAPES) {
    Deno.test({
      name: `the ${kind} log loses no write while pages are sent: ${shape.shape}`,
      ignore,
      async fn() {
        const ram = makeShape(shape);
        assertEquals(await migrateUnderWrites(ram, make(ram), kind === "barrier"), undefined);
      },
    });
  }

  Deno.test({
    name: `the ${kind} log notes each written page once, in the right block`,
    ignore,
    async fn() {
      const ram = makeRam([{ name: "a", length: 65536 * 3 }, { name: "b", length: 4096 * 3 }]);
      const [a, b] = ram.blocks as [RamBlock, RamBlock];
      const { log, write, settle } = await started(ram, make(ram));
      write(a, 5 * 4096 + 17, 1);
      write(a, 32 * 4096 - 1, 2);
      write(b, 2 * 4096, 4096);
      assertEquals(await log.sync(), 4);
      assertEquals([pages(a), pages(b)], [[5, 31, 32], [2]]);
      assertEquals(await log.sync(), 0, "they are dirty already");
      settle();
      assertEquals(await log.sync(), 0, "they were sent, and not written since");
      write(a, 5 * 4096, 1);
      assertEquals([await log.sync(), pages(a), pages(b)], [1, [5], []]);
      await log.stop();
    },
  });

  Deno.test({
    name: `the ${kind} log notes writes again after it was stopped and started`,
    ignore,
    async fn() {
      const ram = makeRam();
      const block = ram.blocks[0]!;
      const first = await started(ram, make(ram));
      first.write(block, 0, 1);
      await first.log.stop();
      first.write(block, 4096, 1);
      const { write, settle } = await started(ram, first.log);
      assertEquals(await first.log.sync(), 0);
      write(block, 3 * 4096, 1);
      assertEquals([await first.log.sync(), pages(block)], [1, [3]]);
      settle();
      await first.log.stop();
    },
  });

  Deno.test({
    name: `the ${kind} log knows, when it has started, which pages were written before`,
    ignore,
    async fn() {
      const ram = makeRam();
      const block = ram.blocks[0]!;
      block.view(4096 * 5, 1)[0] = 1;
      const log = make(ram);
      await log.start();
      assertEquals(block.untouched.words[0], lacks.pageContent === undefined ? 0xffdf : 0);
      await log.stop();
    },
  });

  Deno.test({
    name: `the ${kind} log takes a written page out of the untouched ones`,
    ignore,
    async fn() {
      const ram = makeRam();
      const block = ram.blocks[0]!;
      const { log, write } = await started(ram, make(ram));
      block.untouched.fill(0, 16, true);
      write(block, 7 * 4096, 1);
      await log.sync();
      assertEquals(block.untouched.count(), 15);
      assertEquals(block.untouched.has(7), false);
      await log.stop();
    },
  });

  Deno.test({
    name: `the ${kind} log tells the pages around 4 GiB of a block of 5 GiB`,
    ignore: ignore || kind === "hash" && lacks.pageContent !== undefined,
    async fn() {
      const ram = makeRam([{ name: "large", length: 5 * 1024 ** 3 }]);
      const block = ram.blocks[0]!;
      assertEquals(block.segments.length, 2);
      const log = make(ram);
      await log.start();
      const boundary = 4 * 1024 ** 3;
      const offsets = [0, boundary - 1, boundary, boundary + 8192, 5 * 1024 ** 3 - 1];
      for (const offset of offsets) {
        block.view(offset, 1)[0] = 1;
        if (kind === "barrier") markWritten(block, offset, 1);
      }
      assertEquals(await log.sync(), 5);
      assertEquals(pages(block), offsets.map((offset) => Math.floor(offset / 4096)));
      await log.stop();
    },
  });

  Deno.test({
    name: `the ${kind} log refuses to start twice and to sync when it does not run`,
    ignore,
    async fn() {
      const log = make(makeRam());
      await assertRejects(() => log.sync(), StateError, "does not run");
      await log.stop();
      await log.start();
      await assertRejects(() => log.start(), StateError, "runs already");
      assertNotEquals(await log.sync(), undefined);
      await log.stop();
      await log.stop();
      await assertRejects(() => log.sync(), StateError, "does not run");
    },
  });
}

/** Starts a log as if all pages had been sent already. */
async function started<Log extends KernelLog | BarrierLog | HashLog>(ram: GuestRam, log: Log) {
  await log.start();
  const replica = new Replica(ram, log.kind === "hash" ? log.digests : undefined);
  for (const { dirty, pageCount } of ram.blocks) dirty.fill(0, pageCount, true);
  replica.send();
  return {
    log,
    /** Writes as a guest does. */
    write(block: RamBlock, offset: number, length: number): void {
      for (let at = offset; at < offset + length; at++) block.view(at, 1)[0]!++;
      if (log.kind === "barrier") markWritten(block, offset, length);
    },
    /** Sends what is dirty. */
    settle: () => replica.send(),
  };
}

function pages({ dirty }: RamBlock): number[] {
  const found: number[] = [];
  for (let page = dirty.next(0); page < dirty.pageCount; page = dirty.next(page + 1)) {
    found.push(page);
  }
  return found;
}

Deno.test("a guest that does not mark is found out by the test above: its writes are lost", async () => {
  const ram = makeShape(SHAPES[0]!);
  assertNotEquals(await migrateUnderWrites(ram, new BarrierLog(ram), false), undefined);
});

Deno.test("markDirty() counts the bits that were clear, across words", () => {
  const ram = makeRam([{ name: "ram", length: 200 * 4096 }]);
  const block = ram.blocks[0]!;
  block.dirty.add(31);
  block.dirty.add(64);
  assertEquals(markDirty(block, 30, 130), 98);
  assertEquals(block.dirty.count(), 100);
  assertEquals([block.dirty.next(0), block.dirty.next(30, false)], [30, 130]);
  assertEquals(markDirty(block, 30, 130), 0);
  assertEquals(markDirty(block, 5, 5), 0);
});

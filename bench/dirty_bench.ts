/**
 * The dirty logs: what a sync of 1 GiB costs when nothing was written and when a tenth of the pages
 * was, and how fast digests are. The baselines are what one would write without them: a loop that sums
 * up words in JavaScript, and a comparison with a copy by the C library's memcmp.
 *
 * @module
 */
import { BarrierLog, markWritten } from "../src/dirty/barrier_log.ts";
import { DigestRecorder } from "../src/dirty/digest_recorder.ts";
import { DigestTable, pageHash } from "../src/dirty/digest_table.ts";
import { HashLog } from "../src/dirty/hash_log.ts";
import { KernelLog } from "../src/dirty/kernel_log.ts";
import { GuestRam } from "../src/machine/guest_ram.ts";
import { probeHost } from "../src/os/probe.ts";

const GIB = 1024 ** 3;
const PAGE = 4096;

/** RAM that the host has provided already: first touches cost more than anything measured here. */
const ram = GuestRam.create([{ name: "ram", length: GIB }]);
const block = ram.blocks[0]!;
const words = new Int32Array(block.segments[0]!.memory.buffer, 0, GIB / 4);
for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 0x9e3779b1);

const lack = probeHost().writeTracking;
const MAKERS = [
  { make: () => new KernelLog(ram), ignore: lack !== undefined },
  { make: () => new BarrierLog(ram), ignore: false },
  { make: () => new HashLog(ram), ignore: false },
];

const staging = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
for (const { make, ignore } of MAKERS) {
  const log = make();
  const recorder = log.kind === "hash" ? new DigestRecorder(ram, log.digests, staging) : undefined;

  const send = (page: number) => {
    block.dirty.delete(page);
    recorder?.take(0, page, 0);
  };
  const begin = async () => {
    await log.start();
    block.dirty.fill(0, block.pageCount, false);
    for (let page = 0; page < block.pageCount; page++) send(page);
    await log.sync();
  };
  const sendDirty = () => {
    for (let page = 0; (page = block.dirty.next(page)) < block.pageCount;) send(page);
  };

  Deno.bench({
    name: log.kind,
    group: "sync of 1 GiB, nothing written",
    ignore,
    n: 20,
    warmup: 2,
    async fn(bench) {
      await begin();
      bench.start();
      await log.sync();
      bench.end();
      await log.stop();
    },
  });

  Deno.bench({
    name: log.kind,
    group: "sync of 1 GiB, a tenth of the pages written",
    ignore,
    n: 20,
    warmup: 2,
    async fn(bench) {
      await begin();
      sendDirty();
      for (let i = 0; i < block.pageCount / 10; i++) {
        const page = Math.floor(Math.random() * block.pageCount);
        words[page * (PAGE / 4)]!++;
        if (log.kind === "barrier") markWritten(block, page * PAGE, 4);
      }
      bench.start();
      await log.sync();
      bench.end();
      await log.stop();
    },
  });
}

/** What a guest pays: a word in each of these pages, for the first time since a sync. */
const WRITTEN = 16_384;
const group = `a guest's writes to ${WRITTEN} pages after a sync`;

function writeEach(mark: boolean): void {
  for (let page = 0; page < WRITTEN; page++) {
    words[page * (PAGE / 4)]!++;
    if (mark) markWritten(block, page * PAGE, 4);
  }
}

for (const { make, ignore } of MAKERS) {
  const log = make();
  Deno.bench({
    name: log.kind === "hash" ? "baseline: no log (or hash)" : log.kind,
    group,
    baseline: log.kind === "hash",
    ignore,
    n: 20,
    warmup: 2,
    async fn(bench) {
      if (log.kind !== "hash") await log.start();
      bench.start();
      writeEach(log.kind === "barrier");
      bench.end();
      await log.stop();
    },
  });
}

const PART = 256 * 1024 ** 2;
const table = DigestTable.create(ram);
const memory = ram.memories[0]!;
const hash = pageHash({ pages: memory, staging, digests: table.memory, tables: ram.tables });
const recorder = new DigestRecorder(ram, table.layout, staging);
const digests = "256 MiB (divide 0.25 by the time for GiB/s)";

Deno.bench({
  name: "digests compared by the kernel page_hash",
  group: digests,
  fn(bench) {
    block.dirty.fill(0, block.pageCount, false);
    for (let page = 0; page < PART / PAGE; page++) recorder.take(0, page, 0);
    const { dirty, untouched } = block;
    bench.start();
    hash.compare(
      0,
      PAGE,
      table.offset(0, 0),
      dirty.byteOffset,
      untouched.byteOffset,
      0,
      PART / PAGE,
    );
    bench.end();
    if (dirty.count() !== 0) throw new Error("Nothing was written");
  },
});

Deno.bench({
  name: "pages copied and digests noted, as senders do",
  group: digests,
  fn() {
    for (let page = 0; page < PART / PAGE; page++) recorder.take(0, page, 0);
  },
});

Deno.bench({
  name: "baseline: digests by a loop in JavaScript",
  group: digests,
  baseline: true,
  fn() {
    let sum = 0;
    for (let page = 0; page < PART / 4; page += PAGE / 4) {
      let digest = 0;
      for (let i = page; i < page + PAGE / 4; i++) digest = Math.imul(digest, 31) + words[i]! | 0;
      sum ^= digest;
    }
    if (sum === 0.5) throw new Error("The loop must not be optimized away");
  },
});

if (probeHost().ffi === undefined) {
  const { memcmp } = Deno.dlopen("libc.so.6", {
    memcmp: { parameters: ["buffer", "buffer", "usize"], result: "i32" },
  }).symbols;
  const bytes = new Uint8Array(memory.buffer, 0, PART);
  const copy = new Uint8Array(PART);
  Deno.bench({
    name: "baseline: memcmp with a copy of all RAM",
    group: digests,
    fn(bench) {
      copy.set(bytes);
      bench.start();
      const difference = memcmp(bytes, copy, BigInt(PART));
      bench.end();
      if (difference !== 0) throw new Error("Nothing was written");
    },
  });
}

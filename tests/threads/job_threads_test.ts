import { assert, assertEquals, assertRejects } from "@std/assert";
import { type MigrationError, WorkerFailedError } from "../../src/errors.ts";
import { Progress } from "../../src/threads/job_ring.ts";
import { JobThreads, type JobThreadStart } from "../../src/threads/job_threads.ts";

const NO_TROUBLE = () => {};

type Start = JobThreadStart & { readonly factor: number };

function threads(count: number, onFailure: (error: MigrationError) => void = () => {}) {
  return new JobThreads<Start>({
    names: Array.from({ length: count }, (_, i) => `thread ${i}`),
    url: new URL("./fixtures/job_worker.ts", import.meta.url),
    progress: new Progress(),
    startOf: (own, index) => ({ ...own, factor: 1 + index }),
    onFailure,
  });
}

async function give(pool: JobThreads<Start>, block: number, pages: number): Promise<void> {
  const ring = await pool.ringWithRoom(NO_TROUBLE);
  ring.beginBatch(block);
  ring.addRun(0, pages);
  ring.publishBatch();
}

Deno.test("JobThreads share what they are given, and each job is done once", async () => {
  await using pool = threads(3);
  for (let i = 0; i < 500; i++) await give(pool, 0, 12);
  await pool.drained(NO_TROUBLE);
  assertEquals([pool.pending, pool.waitingFor], [0, []]);
  // Each thread counts a page as often as its number says.
  const bytes = pool.counters.map(({ counters }) => counters.get("bytes"));
  assertEquals(bytes.reduce((sum, each, i) => sum + each / (1 + i), 0), 6000);
  assertEquals(pool.passed, bytes.reduce((sum, each) => sum + each));
  assert(bytes.every((each) => each > 0), `${bytes}`);
  assertEquals(pool.counters.map(({ name }) => name), ["thread 0", "thread 1", "thread 2"]);
  await pool.end(NO_TROUBLE);
  await pool.ended();
});

Deno.test("JobThreads tells which thread failed, and who waits for its work gives up", async () => {
  const failures: MigrationError[] = [];
  await using pool = threads(1, (error) => failures.push(error));
  await give(pool, 99, 1);
  const check = () => {
    if (failures[0]) throw failures[0];
  };
  await assertRejects(() => pool.drained(check), WorkerFailedError, "There is no block 99");
  assertEquals(failures.map(({ place }) => place.channel), ["thread 0"]);
  assertEquals(pool.waitingFor, ["thread 0"]);
  await assertRejects(() => pool.ended(), WorkerFailedError);
});

Deno.test("JobThreads end at once when they are disposed of, with work before them", async () => {
  const pool = threads(2);
  await give(pool, 0, 5);
  for (let i = 0; i < 10; i++) await give(pool, 0, 5);
  await pool[Symbol.asyncDispose]();
  await pool.ended();
});

/**
 * Handing work to another thread: the job ring beside `postMessage`. Each iteration hands over 10000 jobs
 * and waits until all are done.
 *
 * @module
 */
import { Worker } from "node:worker_threads";
import { JobKind, JobRing, Progress } from "../src/threads/job_ring.ts";

const JOBS = 10_000;
const progress = new Progress();
const ring = JobRing.create(64, progress);

function start(how: "ring" | "messages"): Promise<Worker> {
  const worker = new Worker(new URL("./threads_bench_worker.ts", import.meta.url), {
    workerData: { how, layout: ring.layout },
  });
  return new Promise((resolve) => worker.once("message", () => resolve(worker)));
}

const byMessages = await start("messages");
await start("ring");
const group = "hand-off of 10000 batches";

Deno.bench({
  ...{ name: "postMessage", group, baseline: true, n: 10, warmup: 2 },
  async fn() {
    const done = new Promise((resolve) => byMessages.once("message", resolve));
    for (let job = 0; job < JOBS; job++) {
      byMessages.postMessage({ block: 0, first: job, count: 512, last: job === JOBS - 1 });
    }
    await done;
  },
});

Deno.bench({
  ...{ name: "JobRing", group, n: 10, warmup: 2 },
  async fn() {
    for (let job = 0; job < JOBS;) {
      const seen = progress.count;
      if (ring.free === 0) {
        await progress.changed(seen);
        continue;
      }
      ring.beginBatch(0);
      ring.addRun(job, 512);
      ring.publishBatch();
      job++;
    }
    for (let seen; (seen = progress.count, ring.pending > 0);) await progress.changed(seen);
  },
});

globalThis.addEventListener("unload", () => ring.pushMark(JobKind.END));

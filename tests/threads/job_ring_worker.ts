/// <reference lib="deno.worker" />
// Counts the batches of a ring and checks their order, until END or stop().
import { JobKind, JobRing, type JobRingLayout } from "../../src/threads/job_ring.ts";

self.onmessage = (event: MessageEvent<JobRingLayout>) => {
  const ring = new JobRing(event.data);
  self.postMessage("ready");
  let jobs = 0;
  let pages = 0;
  while (ring.waitForJob()) {
    if (ring.kind === JobKind.END) break;
    if (ring.runFirst(0) !== jobs) throw new Error(`Job ${ring.runFirst(0)} after ${jobs}`);
    pages += ring.runCount(0);
    jobs++;
    ring.pop();
  }
  self.postMessage({ jobs, pages });
};

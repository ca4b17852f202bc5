/** The thread that is handed work in threads_bench.ts. */
import { parentPort, workerData } from "node:worker_threads";
import { JobKind, JobRing, type JobRingLayout } from "../src/threads/job_ring.ts";

const { how, layout } = workerData as { how: "ring" | "messages"; layout: JobRingLayout };
parentPort!.postMessage("ready");
if (how === "messages") {
  parentPort!.on("message", ({ last }: { last: boolean }) => {
    if (last) parentPort!.postMessage("done");
  });
} else {
  const ring = new JobRing(layout);
  while (ring.waitForJob()) {
    const over = ring.kind === JobKind.END;
    ring.pop();
    if (over) break;
  }
}

/**
 * What both kinds of mapped-ram threads do: take one batch after the other from their ring.
 *
 * @module
 */
import type { ChannelCounters } from "../threads/channel_counters.ts";
import { JobKind, type JobRing } from "../threads/job_ring.ts";

/**
 * Runs until the END job or until the ring is stopped; it blocks the thread.
 * @param ring Where batches come from.
 * @param counters Where it says how long there was nothing to do.
 * @param takeBatch Does what the batch at hand says; what it throws ends the loop.
 */
export function takeBatches(
  ring: JobRing,
  counters: ChannelCounters,
  takeBatch: () => void,
): void {
  while (!ring.stopped) {
    if (ring.pending === 0) {
      const before = performance.now();
      ring.waitForJob();
      counters.add("idleMs", performance.now() - before);
      continue;
    }
    const { kind } = ring;
    if (kind === JobKind.BATCH) takeBatch();
    ring.pop();
    if (kind === JobKind.END) return;
  }
}

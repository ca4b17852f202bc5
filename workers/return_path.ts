/**
 * The thread of a source's return path, and of its preempt channel.
 *
 * @module
 */
import { GuestRam } from "../src/machine/guest_ram.ts";
import { RequestQueue } from "../src/threads/request_queue.ts";
import { PreemptChannel } from "../src/postcopy/preempt_channel.ts";
import type { FromReturnPath, ToReturnPath } from "../src/postcopy/return_path.ts";
import { rehearseAnswering } from "../src/postcopy/rehearse_answering.ts";
import { ReturnPathLoop, type ReturnPathStart } from "../src/postcopy/return_path_loop.ts";
import { ChannelCounters } from "../src/threads/channel_counters.ts";
import { serveWorker } from "../src/threads/worker_port.ts";
import { openChannel } from "../src/transport/open_channel.ts";

serveWorker<ReturnPathStart, ToReturnPath, FromReturnPath>(
  async ({ channel: spec, pages }, port) => {
    const channel = openChannel(spec);
    const loop = new ReturnPathLoop(channel, pages, (message) => port.post(message));
    port.ready();
    let stopping = false;
    const obey = async () => {
      for await (const order of port) {
        if (order.kind === "preempt") {
          loop.preempt = new PreemptChannel(
            openChannel(order.channel),
            new GuestRam(pages!.ram),
            new RequestQueue(pages!.requests),
            new ChannelCounters(order.counters),
            order.encoder,
          );
        } else {
          await loop.preempt?.sendEnd();
        }
        port.post({ type: "DONE" });
      }
      stopping = true;
    };
    const obeyed = obey();
    obeyed.catch(() => {});
    try {
      await Promise.race([loop.run(), obeyed]);
    } catch (error) {
      if (!stopping) throw error;
    } finally {
      channel.close();
      loop.preempt?.close();
    }
  },
  async (rehearsal, isOver) => {
    if (rehearsal === "postcopy") await rehearseAnswering(isOver);
  },
);

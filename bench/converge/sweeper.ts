/**
 * What the sweep guest of the tests does in a QEMU, for a machine of Ferry's: it adds one to the first
 * byte of every page of its block, halts for some milliseconds, and so on.
 *
 * @module
 */
import type { Guest, GuestContext } from "../../src/machine/guest.ts";
import { threadId } from "../../src/os/thread_id.ts";
import "../../tests/support/load_libc.ts";

const PAGE = 4096;
/** Pages of one step. */
const STEP_PAGES = 64;

/**
 * Makes the guest, which tells its port which thread it runs on.
 * @param context Its `options.pace` is how long it halts between two sweeps, in milliseconds.
 */
export default function sweeper(context: GuestContext): Guest {
  const { ram, options, port, clock, markWritten } = context;
  const block = ram["swept"]!;
  const bytes = block.view(0, block.length);
  const pace = Number(options["pace"]);
  let page = 0;
  let awake = 0;
  port.postMessage(threadId());
  return {
    step(): number {
      const early = awake - clock();
      if (early > 0) return early;
      const end = Math.min(page + STEP_PAGES, block.pageCount);
      for (let at = page; at < end; at++) bytes[at * PAGE]!++;
      markWritten(block, page * PAGE, (end - page) * PAGE);
      page = end % block.pageCount;
      if (page === 0) awake = clock() + pace;
      return 0;
    },
  };
}

/**
 * The JavaScript guest that times its own page faults, as `touch_program.ts` does for QEMU: at the source it
 * does nothing, at the destination it reads pages in the same order.
 *
 * @module
 */
import type { Guest, GuestContext } from "../../src/machine/guest.ts";
import { PAGE, TOUCH_ORDER, type TouchPlan } from "./touch_plan.ts";

/** How many pages are touched in one step. */
const STEP = 16;
/**
 * How often the first page is read again before others are: the clock and the loop are compiled then. QEMU's
 * compiler has done that when they have run once.
 */
const WARM_UP = 4096;

/** The guest. Its port tells of all times once the last page was touched, in microseconds. */
export default ({ ram, options, port, resumed, ensurePresent }: GuestContext): Guest => {
  const { pages, touches } = options as unknown as TouchPlan;
  const block = ram["ram"]!;
  const bytes = block.view(0, block.length);
  const times = new Float64Array(touches);
  let page = 0;
  let touched = 0;
  let sum = 0;

  const next = () =>
    (Math.imul(page, TOUCH_ORDER.multiplier) + TOUCH_ORDER.increment) & (pages - 1);

  const touch = () => {
    const before = performance.now();
    ensurePresent(block, page * PAGE, 4);
    sum += bytes[page * PAGE]!;
    times[touched++] = (performance.now() - before) * 1000;
  };

  /** Reads a page that is there again and again. */
  const warmUp = () => {
    const before = touched;
    for (let i = 0; i < WARM_UP; i++, touched = before) touch();
  };

  return {
    step() {
      if (!resumed || touched === touches) return 5;
      for (let i = 0; i < STEP && touched < touches; i++) {
        page = next();
        touch();
        if (touched === 1) warmUp();
      }
      if (touched === touches) port.postMessage({ times: Array.from(times), sum });
      return;
    },
  };
};

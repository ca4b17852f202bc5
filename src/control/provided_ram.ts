/**
 * A destination's RAM, provided by the kernel while the destination waits for its source. A first touch
 * costs more than copying a page to it, so this is half the time of a fast migration; and what turns out
 * never to have been touched at the source is given back.
 *
 * @module
 */
import { type HostRange, hostRanges } from "../dirty/host_range.ts";
import { markUntouched } from "../dirty/untouched.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { availableMemory } from "../os/available_memory.ts";
import { discard } from "../os/madvise.ts";
import type { ProvideRequest } from "../os/provide.ts";
import { WorkerHandle } from "../threads/worker_handle.ts";

/** The unit in which memory is given back, in bytes: the kernel's large page. */
const LARGE_PAGE = 2 * 1024 ** 2;
/** Less RAM than this is provided fast enough when it is touched, in bytes. */
const WORTHWHILE = 64 * 1024 ** 2;
/** What must remain available to everybody else, as a share of the RAM that is provided. */
const RESERVE = 0.25;

/** One RAM and the thread that provides it. */
export class ProvidedRam implements AsyncDisposable {
  private constructor(
    private readonly ram: GuestRam,
    private readonly ranges: readonly HostRange[],
    private readonly worker: WorkerHandle<ProvideRequest>,
  ) {}

  /**
   * Marks the RAM's untouched pages, which cannot be told any more once all are provided, and begins to
   * provide them.
   * @param ram Nobody writes it from here on but who receives pages.
   * @returns `undefined` where that is not possible (no FFI), or not wise (little memory, little RAM).
   */
  static async begin(ram: GuestRam): Promise<ProvidedRam | undefined> {
    if (ram.length < WORTHWHILE || availableMemory() < ram.length * (1 + RESERVE)) return undefined;
    const ranges = hostRanges(ram);
    if (!ranges || !markUntouched(ram)) return undefined;
    const stop = new SharedArrayBuffer(4);
    const worker = await WorkerHandle.start<ProvideRequest>({
      name: "RAM provider",
      url: new URL("../../workers/provide_ram.ts", import.meta.url),
      start: { ranges: ranges.map(({ start, end }) => ({ start, end })), stop },
      interrupt: () => Atomics.store(new Int32Array(stop), 0, 1),
    });
    // There is time now to end a thread that is done; when the source comes there is none.
    const end = () => worker.stop();
    worker.ended.then(end, end);
    return new ProvidedRam(ram, ranges, worker);
  }

  /** Resolves when all is provided, or it was stopped. */
  get ended(): Promise<void> {
    return this.worker.ended;
  }

  /** Gives back what was never written. Nobody may write meanwhile. */
  giveBack(): void {
    const { pageSize } = this.ram;
    for (const { block, offset, start, end } of this.ranges) {
      const isUntouched = (from: number) => {
        const first = Math.floor((from - start + offset) / pageSize);
        const behind = Math.ceil((from - start + offset + LARGE_PAGE) / pageSize);
        const last = Math.min(behind, block.pageCount);
        return block.untouched.next(first, false, last) === last;
      };
      let from = Math.ceil(start / LARGE_PAGE) * LARGE_PAGE;
      for (let to = from; from + LARGE_PAGE <= end; from = to += LARGE_PAGE) {
        while (to + LARGE_PAGE <= end && isUntouched(to)) to += LARGE_PAGE;
        if (to > from) discard(from, to - from);
      }
    }
  }

  /** Ends the thread. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker.stop();
  }
}

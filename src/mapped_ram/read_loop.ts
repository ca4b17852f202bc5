/**
 * What a thread does that reads pages from their places in a mapped-ram file: it takes ranges of pages from
 * its ring, reads those that the file has straight into guest RAM, and makes the others zeros.
 *
 * @module
 */
import { ConnectionLostError } from "../errors.ts";
import { bindRamRecords, type RamRecordsKernel } from "../kernels/ram_records.ts";
import { GuestRam, type GuestRamLayout } from "../machine/guest_ram.ts";
import type { RamBlock } from "../machine/ram_block.ts";
import { ChannelCounters } from "../threads/channel_counters.ts";
import { JobRing } from "../threads/job_ring.ts";
import type { JobThreadStart } from "../threads/job_threads.ts";
import type { FileSpec } from "../transport/channel.ts";
import type { FileChannel } from "../transport/file_channel.ts";
import { takeBatches } from "./batch_loop.ts";
import { MappedPages, type MappedPagesLayout } from "./mapped_pages.ts";

/** What the worker is started with. */
export interface MappedReadStart extends JobThreadStart {
  readonly file: FileSpec;
  readonly ram: GuestRamLayout;
  readonly pages: MappedPagesLayout;
}

/** The worker's side. */
export class ReadLoop {
  readonly #ram: GuestRam;
  readonly #ring: JobRing;
  readonly #counters: ChannelCounters;
  readonly #pages: MappedPages;
  readonly #memories = new Map<WebAssembly.Memory, [RamRecordsKernel, Uint8Array]>();

  /** @param file The file; it stays open. */
  constructor(private readonly file: FileChannel, start: MappedReadStart) {
    this.#ram = new GuestRam(start.ram);
    this.#ring = new JobRing(start.ring);
    this.#counters = new ChannelCounters(start.counters);
    this.#pages = new MappedPages(start.pages);
    const { tables, memories } = this.#ram;
    for (const memory of memories) {
      const kernel = bindRamRecords(memory, tables, tables);
      this.#memories.set(memory, [kernel, new Uint8Array(memory.buffer)]);
    }
  }

  /**
   * Runs until the END job or until the ring is stopped; it blocks the thread.
   * @throws {TransportError | ConnectionLostError} If the file cannot be read, or ends before a page does.
   */
  run(): void {
    takeBatches(this.#ring, this.#counters, () => this.#readBatch());
  }

  #readBatch(): void {
    const ring = this.#ring;
    const block = this.#ram.blocks[ring.block]!;
    const present = this.#pages.bitmap(block.index);
    for (let run = 0; run < ring.runs; run++) {
      const end = ring.runFirst(run) + ring.runCount(run);
      for (let page = ring.runFirst(run); page < end;) {
        const isThere = present.has(page);
        const next = present.next(page, !isThere, end);
        if (isThere) this.#readPages(block, page, next - page);
        else this.#placeZeros(block, page, next - page);
        page = next;
      }
    }
  }

  #readPages(block: RamBlock, first: number, count: number): void {
    const { pageSize } = this.#ram;
    const place = this.#pages.offset(block.index, first, pageSize);
    const length = count * pageSize;
    block.untouched.fill(first, count, false);
    const before = performance.now();
    for (let done = 0; done < length;) {
      const offset = first * pageSize + done;
      const segment = block.segmentAt(offset);
      const inside = offset - segment.offset;
      const part = Math.min(length - done, segment.length - inside);
      const bytes = this.#memories.get(segment.memory)![1];
      const read = this.file.readNow(bytes, segment.base + inside, part, place + done);
      if (read < part) {
        throw new ConnectionLostError(
          `${this.file.peer} ends at ${place + done + read} inside RAM block "${block.name}"`,
        );
      }
      done += part;
    }
    this.#counters.add("waitMs", performance.now() - before);
    block.received.fill(first, count, true);
    this.#counters.add("bytes", length);
    this.#counters.add("normalPages", count);
  }

  #placeZeros(block: RamBlock, first: number, count: number): void {
    const { pageSize } = this.#ram;
    const { received, untouched } = block;
    for (let page = first; page < first + count; page++) {
      const { memory, base, offset } = block.segmentAt(page * pageSize);
      const [kernel] = this.#memories.get(memory)!;
      kernel.place_zero(
        base + page * pageSize - offset,
        pageSize,
        page,
        received.byteOffset,
        untouched.byteOffset,
      );
    }
    this.#counters.add("zeroPages", count);
  }
}

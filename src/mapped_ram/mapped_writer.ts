/**
 * The pages of an outgoing mapped-ram file as the main thread sees them: batches of page numbers go to some
 * threads (`write_loop.ts`), and the stream, which another thread writes to the same file, has a hole for each
 * block's pages.
 *
 * @module
 */
import type { DigestTableLayout } from "../dirty/digest_table.ts";
import type { MigrationError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { type RamBlockEntry, writeBlockEntry, writeBlockListHeader } from "../ram/block_list.ts";
import type { OutgoingStream } from "../ram/outgoing_stream.ts";
import type { BatchSink, FixedPlaces } from "../ram/save.ts";
import { BATCH_PAGES_MAX, type Progress } from "../threads/job_ring.ts";
import { JobThreads } from "../threads/job_threads.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { FileSpec } from "../transport/channel.ts";
import { type BlockPlace, writeBlockPlace } from "./block_place.ts";
import { MappedPages } from "./mapped_pages.ts";
import type { MappedWriteStart } from "./write_loop.ts";

/** The workers' module. */
export const MAPPED_WRITE = new URL("../../workers/mapped_write.ts", import.meta.url);

/** What the threads are made of. */
export interface MappedWriterOptions {
  /** The file that the stream goes to. */
  readonly file: FileSpec;
  /** Whose pages are written. */
  readonly ram: GuestRam;
  /** What messages call each thread. */
  readonly names: readonly string[];
  /** Is bumped by the threads as they get on. */
  readonly progress: Progress;
  /** Leave pages of zeros out. */
  readonly detectZero: boolean;
  /** Where the hash log wants the digests of what is written. */
  readonly digests?: DigestTableLayout;
  /** Where there may be threads already. */
  readonly spares?: SpareWorkers | undefined;
  /** Told of the first failure of a thread. */
  readonly onFailure: (error: MigrationError) => void;
}

/** The threads that write pages. */
export class MappedWriter extends JobThreads<MappedWriteStart> implements BatchSink, FixedPlaces {
  readonly batchPages = BATCH_PAGES_MAX;
  readonly #ram: GuestRam;
  readonly #pages: MappedPages;
  readonly #places = new Map<number, BlockPlace>();

  /** Starts the threads; they take work as they come up, and after the list of blocks there is some. */
  constructor(options: MappedWriterOptions) {
    const { file, ram, names, progress, detectZero, digests, spares, onFailure } = options;
    const pages = MappedPages.create(ram.blocks.map(({ pageCount }) => pageCount));
    super({
      ...{ names, url: MAPPED_WRITE, progress, spares, onFailure },
      startOf: (own) => ({
        ...own,
        ...{ file, detectZero, ram: ram.layout, pages: pages.layout },
        ...digests && { digests },
      }),
    });
    this.#ram = ram;
    this.#pages = pages;
  }

  get fixedPlaces(): FixedPlaces {
    return this;
  }

  async sendBlockList(
    stream: OutgoingStream,
    blocks: readonly RamBlockEntry[],
    check: () => void,
  ): Promise<void> {
    const { writer } = stream;
    writeBlockListHeader(writer, blocks);
    for (const entry of blocks) {
      writeBlockEntry(writer, entry);
      const place = writeBlockPlace(writer, stream.position, entry, this.#ram.pageSize);
      const { index } = this.#ram.block(entry.name)!;
      this.#places.set(index, place);
      this.#pages.place(index, place.pagesOffset);
      await stream.seek(place.end, check);
    }
  }

  async sendBitmaps(stream: OutgoingStream, check: () => void): Promise<void> {
    await stream.flush(check);
    const { position } = stream;
    for (const [block, { bitmapOffset }] of this.#places) {
      await stream.seek(bitmapOffset, check);
      stream.writer.bytes(this.#pages.bytes(block));
    }
    await stream.seek(position, check);
  }
}

/**
 * An incoming mapped-ram file as the main thread sees it: the stream, which it reads itself, and the pages
 * beside it, which some threads read (`read_loop.ts`).
 *
 * @module
 */
import { ConnectionLostError, type MigrationError, StreamFormatError } from "../errors.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import { BATCH_PAGES_MAX, Progress } from "../threads/job_ring.ts";
import { JobThreads } from "../threads/job_threads.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { FileSpec } from "../transport/channel.ts";
import { FileChannel } from "../transport/file_channel.ts";
import { FileSource } from "../transport/file_source.ts";
import { ByteReader } from "../wire/byte_reader.ts";
import { type BlockPlace, readBlockPlace } from "./block_place.ts";
import { MappedPages } from "./mapped_pages.ts";
import type { MappedReadStart } from "./read_loop.ts";

/** The workers' module. */
export const MAPPED_READ = new URL("../../workers/mapped_read.ts", import.meta.url);

/** How much of the stream is read at once, in bytes: device state is small. */
const WINDOW = 1 << 16;

/** The threads that read pages. */
export interface PageThreads {
  /** What messages call each of them. */
  readonly names: readonly string[];
  /** The file as they open it. */
  readonly file: FileSpec;
  readonly spares?: SpareWorkers;
}

/** One file that is being read. */
export class MappedReader implements Disposable {
  /** Reads the stream. */
  readonly reader: ByteReader;
  readonly #channel: FileChannel;
  readonly #source: FileSource;
  readonly #places = new Map<string, BlockPlace>();

  /**
   * Opens the file.
   * @throws {TransportError} If that cannot be done.
   */
  constructor(private readonly file: FileSpec) {
    this.#channel = new FileChannel(file);
    this.#source = new FileSource(this.#channel, file.offset, WINDOW);
    this.reader = new ByteReader(this.#source);
  }

  /**
   * Reads what follows a block's entry in the list, and goes on behind its pages.
   * @throws {StreamFormatError | ConnectionLostError} If the block has no such place in the file.
   */
  async readPlace(entry: RamBlockEntry, pageSize: number): Promise<void> {
    const { offset } = this.file;
    const limits = { pageSize, offset, size: this.#channel.size };
    const place = await readBlockPlace(this.reader, entry, limits);
    this.#places.set(entry.name, place);
    this.#source.seek(place.end - offset);
  }

  /**
   * Reads which pages the file has.
   * @param blocks Those that the list has.
   */
  async readBitmaps(blocks: readonly RamBlockEntry[], pageSize: number): Promise<MappedPages> {
    const pages = MappedPages.create(blocks.map(({ length }) => length / pageSize));
    for (const [index, { name }] of blocks.entries()) {
      const { bitmapOffset, pagesOffset } = this.#places.get(name)!;
      const bytes = pages.bytes(index);
      if (await this.#channel.readAt(bytes, bitmapOffset) < bytes.length) {
        throw new ConnectionLostError(
          `${this.#channel.peer} ends in the bitmap of block "${name}"`,
        );
      }
      pages.trim(index);
      pages.place(index, pagesOffset);
    }
    return pages;
  }

  /**
   * Reads all pages; those that the file does not have become zeros.
   * @param ram Where they go; it has the blocks of the list, in any order.
   * @param check Throws when going on has no point any more.
   * @param onStart Is given the threads.
   */
  async loadPages(
    ram: GuestRam,
    threads: PageThreads,
    check: () => void = () => {},
    onStart: (threads: JobThreads<MappedReadStart>) => void = () => {},
  ): Promise<void> {
    const pages = await this.readBitmaps(ram.blocks, ram.pageSize);
    let failure: MigrationError | undefined;
    const checkAll = () => {
      check();
      if (failure) throw failure;
    };
    const { names, file, spares } = threads;
    await using readers = new JobThreads<MappedReadStart>({
      ...{ names, url: MAPPED_READ, progress: new Progress(), spares },
      startOf: (own) => ({ ...own, file, ram: ram.layout, pages: pages.layout }),
      onFailure: (error) => failure ??= error,
    });
    onStart(readers);
    for (const { index, pageCount } of ram.blocks) {
      for (let first = 0; first < pageCount; first += BATCH_PAGES_MAX) {
        const ring = await readers.ringWithRoom(checkAll);
        ring.beginBatch(index);
        ring.addRun(first, Math.min(BATCH_PAGES_MAX, pageCount - first));
        ring.publishBatch();
      }
    }
    await readers.drained(checkAll);
    await readers.end(checkAll);
    await readers.ended();
  }

  /** Refuses a record of a page: pages are beside the stream. */
  refuseRecord(): Promise<never> {
    return Promise.reject(
      new StreamFormatError("A page in the stream of a mapped-ram file", {
        place: { offset: this.reader.position },
      }),
    );
  }

  [Symbol.dispose](): void {
    this.#channel.close();
  }
}

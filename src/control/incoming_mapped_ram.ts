/**
 * The main channel of an incoming migration from a mapped-ram file (`mapped_ram.ts`). All of RAM is loaded when
 * the list of blocks has been read; what follows in the stream is device state.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import { MappedReader } from "../mapped_ram/mapped_reader.ts";
import type { RamBlockEntry } from "../ram/block_list.ts";
import type { SpareWorkers } from "../threads/spare_workers.ts";
import type { FileSpec } from "../transport/channel.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import type { NamedCounters } from "./channel_info.ts";
import { type MappedRamSettings, pageFile, pageThreadNames } from "./mapped_ram.ts";

/** What it is told. */
export interface IncomingMappedRamOptions extends MappedRamSettings {
  readonly spares: SpareWorkers;
  /** Throws once something has failed. */
  readonly check: () => void;
}

/** The file as what an `IncomingStream` is for connections. */
export class IncomingMappedRam implements AsyncDisposable {
  /** Reads what is not a page. */
  readonly reader: ByteReader;
  /** A file does not break: what is wrong with it is said at once. */
  readonly broken: undefined;
  readonly #mapped: MappedReader;
  #threads: readonly NamedCounters[] = [];
  #loading: Promise<void> | undefined;

  /**
   * Opens the file.
   * @throws {TransportError} If that cannot be done.
   */
  constructor(
    private readonly file: FileSpec,
    private readonly options: IncomingMappedRamOptions,
  ) {
    this.#mapped = new MappedReader(file);
    this.reader = this.#mapped.reader;
  }

  /** The figures of the threads that read pages. */
  get threads(): readonly NamedCounters[] {
    return this.#threads;
  }

  /** Bytes of pages. */
  get received(): number {
    return this.#threads.reduce((sum, { counters }) => sum + counters.get("bytes"), 0);
  }

  /** Reads what follows a block's entry in the list. */
  async readPlace(entry: RamBlockEntry, pageSize: number): Promise<void> {
    await this.#mapped.readPlace(entry, pageSize);
  }

  /** Says where pages go, and loads them. */
  async setRam(ram: GuestRam): Promise<void> {
    const { spares, check } = this.options;
    const names = pageThreadNames(this.options);
    const threads = { names, spares, file: pageFile(this.file, this.options) };
    this.#loading = this.#mapped.loadPages(ram, threads, check, ({ counters }) => {
      this.#threads = counters;
    });
    await this.#loading;
  }

  /** Refuses a record of a page. */
  async loadPages(): Promise<void> {
    await this.#mapped.refuseRecord();
  }

  /** Nobody waits here for what does not come. */
  abandon(): void {}

  /** Ends what reads pages, if something has failed, and closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loading?.catch(() => {}); // who waits for it hears of it
    this.#mapped[Symbol.dispose]();
  }
}

/**
 * Loads the `ram` section (wire-format §5; QEMU `migration/ram.c`, `ram_load`): block lists and marks on
 * the main thread, pages in the channel's worker.
 *
 * @module
 */
import { StreamFormatError } from "../errors.ts";
import type { LoadContext, SectionLoader, SectionPart } from "../savevm/load.ts";
import type { ByteReader } from "../wire/byte_reader.ts";
import { type BlockListDialect, RAM_MAX, type RamBlockEntry, readBlockList } from "./block_list.ts";
import { PAGE_KINDS } from "./record_head.ts";
import { describeRamFlags, RAM_FLAGS_MASK, RamFlag } from "./flags.ts";

/** What the section needs of its surroundings. */
export interface RamLoaderOptions {
  /** What decides the block list's optional members. */
  readonly dialect: BlockListDialect;
  /** Makes or checks the machine's RAM, and says where pages go. Called for the first list. */
  prepare(blocks: readonly RamBlockEntry[]): Promise<void>;
  /** Lets the worker place pages up to the first record that is none. */
  loadPages(): Promise<void>;
  /** A multifd source has sent one SYNC on each of its channels. */
  flush(): Promise<void>;
  /** The end of a payload of the section. */
  endOfPart?(part: SectionPart): Promise<void>;
}

/** The loader of one stream's `ram` section. */
export class RamLoader implements SectionLoader {
  readonly #head = new Uint8Array(8);
  readonly #view = new DataView(this.#head.buffer);
  #blocks: readonly RamBlockEntry[] | undefined;
  #complete = false;

  /** @param options The section's surroundings. */
  constructor(private readonly options: RamLoaderOptions) {}

  /** Whether the section's END was loaded: every page has its right content. */
  get complete(): boolean {
    return this.#complete;
  }

  async load(reader: ByteReader, part: SectionPart, _context: LoadContext): Promise<void> {
    await this.#loadRecords(reader);
    await this.options.endOfPart?.(part);
    this.#complete = part === "end" || part === "full";
  }

  async #loadRecords(reader: ByteReader): Promise<void> {
    for (;;) {
      await reader.need(8, "a RAM record");
      reader.source.peek(this.#head);
      const offset = reader.position;
      const header = this.#view.getBigUint64(0);
      const flags = Number(header & BigInt(this.options.dialect.pageSize - 1));
      if (PAGE_KINDS.includes(flags & ~RamFlag.CONTINUE)) {
        if (!this.#blocks) {
          throw new StreamFormatError("Pages before the list of RAM blocks", { place: { offset } });
        }
        await this.options.loadPages();
        continue;
      }
      await reader.skip(8, "a RAM record");
      switch (flags) {
        case RamFlag.EOS:
          return;
        case RamFlag.MEM_SIZE:
          await this.#loadBlockList(reader, Number(header - BigInt(flags)), offset);
          break;
        case RamFlag.MULTIFD_FLUSH:
          await this.options.flush();
          break;
        default:
          throw new StreamFormatError(
            `RAM record with ${describeRamFlags(flags & RAM_FLAGS_MASK)}, which is no record`,
            { place: { offset }, advice: adviceFor(flags) },
          );
      }
    }
  }

  async #loadBlockList(reader: ByteReader, total: number, offset: number): Promise<void> {
    if (total > RAM_MAX) {
      throw new StreamFormatError(`RAM of ${total} bytes: at most ${RAM_MAX} are received`, {
        place: { offset },
      });
    }
    const blocks = await readBlockList(reader, total, this.options.dialect);
    const known = this.#blocks;
    if (!known) {
      await this.options.prepare(blocks);
      this.#blocks = blocks;
      return;
    }
    for (const block of blocks) {
      if (known.some((each) => each.name === block.name && each.length === block.length)) continue;
      throw new StreamFormatError(
        `RAM block "${block.name}" of ${block.length} bytes was not in the first list`,
        { place: { offset } },
      );
    }
  }
}

function adviceFor(flags: number): string {
  const kind = flags & ~RamFlag.CONTINUE;
  if (kind === RamFlag.COMPRESS_PAGE) {
    return "Turn the source's capability `compress` off: it was removed from QEMU 9.1.";
  }
  return "The stream is damaged, or from a QEMU with a record that is not known here.";
}

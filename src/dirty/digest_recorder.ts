/**
 * For the threads that send pages under the hash log: copies a page out of RAM and notes the digest of
 * exactly these bytes, which the guest cannot change any more. Sending RAM in place would not do: the
 * guest could write the page between digest and sending, write it back, and nobody would know.
 *
 * Before it reads a page it forgets the page's old digest. So whoever compares meanwhile finds "none"
 * and counts the page as dirty, instead of finding the old digest true of a page of which other
 * bytes are just being sent. That makes the last `sync()` right even with pages on their way.
 *
 * @module
 */
import type { GuestRam } from "../machine/guest_ram.ts";
import type { RamSegment } from "../machine/ram_block.ts";
import { DigestTable, type DigestTableLayout, type PageHash, pageHash } from "./digest_table.ts";

/** Takes pages for one sending thread. A page must not be sent by two threads at the same time. */
export class DigestRecorder {
  readonly #ram: GuestRam;
  readonly #table: DigestTable;
  readonly #staged: PageHash;
  readonly #taker = new Map<WebAssembly.Memory, PageHash>();

  /**
   * @param digests The layout of {@linkcode HashLog.digests}.
   * @param staging A shared memory of this thread, for the copies.
   */
  constructor(ram: GuestRam, digests: DigestTableLayout, staging: WebAssembly.Memory) {
    this.#ram = ram;
    this.#table = new DigestTable(digests);
    const others = { staging, digests: digests.memory, tables: ram.tables };
    this.#staged = pageHash({ pages: staging, ...others });
    for (const memory of ram.memories) {
      this.#taker.set(memory, pageHash({ pages: memory, ...others }));
    }
  }

  /**
   * Copies a page and notes its digest. The page's bit in `dirty` must have been cleared before.
   * @param block The block's index.
   * @param page The page in the block.
   * @param at Where in the staging memory the copy goes, in bytes.
   * @throws {RangeError} If there is no such page.
   */
  take(block: number, page: number, at: number): void {
    const { pageSize } = this.#ram;
    const offset = page * pageSize;
    const segment = this.#segment(block, offset);
    const digest = this.#table.offset(block, page);
    const address = segment.base + offset - segment.offset;
    this.#taker.get(segment.memory)!.take(address, at, pageSize, digest);
    this.#staged.record(at, pageSize, digest);
  }

  #segment(block: number, offset: number): RamSegment {
    const found = this.#ram.blocks[block];
    if (!found) throw new RangeError(`There is no RAM block ${block}`);
    return found.segmentAt(offset);
  }
}

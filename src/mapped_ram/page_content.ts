/**
 * The bytes of pages that are about to be written to a file: those in guest RAM itself, or, where the hash
 * log wants digests of the very bytes that are written, a copy that the guest cannot change.
 *
 * @module
 */
import { DigestRecorder } from "../dirty/digest_recorder.ts";
import type { DigestTableLayout } from "../dirty/digest_table.ts";
import { bindRamRecords, type RamRecordsKernel } from "../kernels/ram_records.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { type RamBlock, WASM_PAGE } from "../machine/ram_block.ts";
import { BATCH_PAGES_MAX } from "../threads/job_ring.ts";

/** Takes `length` bytes from `at` on, which go to a place some bytes behind that of the first page. */
export type TakeBytes = (bytes: Uint8Array, at: number, length: number, behind: number) => void;

/** Where pages are read from, for one thread. */
export interface PageContent {
  /**
   * Looks at a page, in ascending order.
   * @param first The first page of those that are looked at: at most so many as a batch has.
   * @returns Whether it is zeros.
   */
  isZero(block: RamBlock, page: number, first: number): boolean;
  /** Gives the bytes of `count` pages that were looked at, from `page` on. */
  give(block: RamBlock, page: number, count: number, first: number, take: TakeBytes): void;
}

/** Pages where they are. */
export class PagesInPlace implements PageContent {
  readonly #memories = new Map<WebAssembly.Memory, [RamRecordsKernel, Uint8Array]>();

  /** @param detectZero Whether pages are looked at; otherwise only those nobody touched are zeros. */
  constructor(private readonly ram: GuestRam, private readonly detectZero: boolean) {
    for (const memory of ram.memories) {
      const kernel = bindRamRecords(memory, ram.tables, ram.tables);
      this.#memories.set(memory, [kernel, new Uint8Array(memory.buffer)]);
    }
  }

  isZero(block: RamBlock, page: number): boolean {
    if (block.untouched.has(page)) return true;
    if (!this.detectZero) return false;
    const { pageSize } = this.ram;
    const { memory, base, offset } = block.segmentAt(page * pageSize);
    const [kernel] = this.#memories.get(memory)!;
    return kernel.is_zero(base + page * pageSize - offset, pageSize) === 1;
  }

  give(block: RamBlock, page: number, count: number, _first: number, take: TakeBytes): void {
    const { pageSize } = this.ram;
    const length = count * pageSize;
    for (let done = 0; done < length;) {
      const at = page * pageSize + done;
      const segment = block.segmentAt(at);
      const inside = at - segment.offset;
      const part = Math.min(length - done, segment.length - inside);
      take(this.#memories.get(segment.memory)![1], segment.base + inside, part, done);
      done += part;
    }
  }
}

/** Copies of pages. */
export class CopiedPages implements PageContent {
  readonly #copies: WebAssembly.Memory;
  readonly #bytes: Uint8Array;
  readonly #kernel: RamRecordsKernel;
  readonly #digests: DigestRecorder;

  /** @param digests Where the digests go. */
  constructor(
    private readonly ram: GuestRam,
    private readonly detectZero: boolean,
    digests: DigestTableLayout,
  ) {
    const pages = BATCH_PAGES_MAX * ram.pageSize / WASM_PAGE;
    this.#copies = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.#bytes = new Uint8Array(this.#copies.buffer);
    this.#kernel = bindRamRecords(this.#copies, ram.tables, ram.tables);
    this.#digests = new DigestRecorder(ram, digests, this.#copies);
  }

  isZero(block: RamBlock, page: number, first: number): boolean {
    if (block.untouched.has(page)) return true;
    const { pageSize } = this.ram;
    const at = (page - first) * pageSize;
    this.#digests.take(block.index, page, at);
    return this.detectZero && this.#kernel.is_zero(at, pageSize) === 1;
  }

  give(_block: RamBlock, page: number, count: number, first: number, take: TakeBytes): void {
    const { pageSize } = this.ram;
    take(this.#bytes, (page - first) * pageSize, count * pageSize, 0);
  }
}

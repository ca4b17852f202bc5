/**
 * What an XBZRLE source does with pages (wire-format §5.7; QEMU `migration/ram.c`, `save_xbzrle_page`): one
 * that is not in the cache goes there and is sent whole; of one in the cache only what differs is sent, or
 * nothing. The kernel does it, for as many pages a call as lie in a row.
 *
 * @module
 */
import { DigestRecorder } from "../dirty/digest_recorder.ts";
import type { DigestTableLayout } from "../dirty/digest_table.ts";
import { NO_BITMAP } from "../kernels/ram_records.ts";
import { bindXbzrle, type XbzrleKernel } from "../kernels/xbzrle.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { type RamBlock, WASM_PAGE } from "../machine/ram_block.ts";
import { XbzrleCache, type XbzrlePlace } from "./xbzrle_cache.ts";
import { XbzrleControl } from "./xbzrle_control.ts";

/** How pages are encoded. */
export interface XbzrleEncoderOptions {
  /** The buffer of {@linkcode XbzrleControl}. */
  readonly control: SharedArrayBuffer;
  /** Send pages of zeros as ZERO records. */
  readonly detectZero: boolean;
  /** Where the hash log wants the digests of what is sent; slower, because pages then go one by one. */
  readonly digests?: DigestTableLayout | undefined;
}

/** Pages that are taken one by one. */
interface SinglePages {
  /** Where each is copied to, so that its digest is that of what is sent. */
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array<ArrayBufferLike>;
  readonly digests: DigestRecorder;
}

/** Pages that one call of the kernel takes. */
interface Row {
  readonly block: RamBlock;
  /** The first page. */
  readonly page: number;
  /** How many pages. */
  readonly pages: number;
  /** Where their bytes are. */
  readonly memory: WebAssembly.Memory;
  readonly address: number;
  readonly place: XbzrlePlace;
  /** Where the bitmap of dirty pages is, or {@linkcode NO_BITMAP} if the pages are claimed. */
  readonly dirty: number;
  readonly out: number;
  readonly nameLength: number;
}

/** The cache with the kernels that work on it. */
export class XbzrleEncoder {
  readonly #control: XbzrleControl;
  readonly #kernels = new Map<WebAssembly.Memory, Map<WebAssembly.Memory, XbzrleKernel>>();
  /** The number of each block's first page in all RAM. */
  readonly #firstPages: number[] = [];
  readonly #pages: number;
  readonly #single: SinglePages | undefined;
  #cacheSize = 0;
  #cache: XbzrleCache | undefined;
  /** Pages sent whole since the start. */
  normalPages = 0;
  /** Pages sent as zeros since the start. */
  zeroPages = 0;
  /** Pages sent as differences since the start, also those without any. */
  encodedPages = 0;

  /**
   * @param ram All blocks.
   * @param io The memory of the sending buffer, which begins with the name of the block, where it is to be
   * sent.
   */
  constructor(
    private readonly ram: GuestRam,
    private readonly io: WebAssembly.Memory,
    private readonly options: XbzrleEncoderOptions,
  ) {
    this.#control = new XbzrleControl(options.control);
    let pages = 0;
    for (const block of ram.blocks) {
      this.#firstPages.push(pages);
      pages += block.pageCount;
    }
    this.#pages = pages;
    if (!options.digests) return;
    const memoryPages = Math.ceil(ram.pageSize / WASM_PAGE);
    const memory = new WebAssembly.Memory({
      ...{ initial: memoryPages, maximum: memoryPages, shared: true },
    });
    const bytes = new Uint8Array(memory.buffer);
    this.#single = { memory, bytes, digests: new DigestRecorder(ram, options.digests, memory) };
  }

  /** Whether pages go through the cache now. A cache whose size was changed is replaced. */
  begins(): boolean {
    const { round, cacheSize } = this.#control;
    if (round === 0) return false;
    if (cacheSize !== this.#cacheSize || !this.#cache) {
      this.#cacheSize = cacheSize;
      this.#kernels.clear();
      this.#cache = new XbzrleCache(cacheSize, this.ram.pageSize, this.#pages);
    }
    return true;
  }

  /**
   * Claims and encodes those of a run's pages that are still dirty; {@linkcode begins} must have said so.
   * @param first The run's first page.
   * @param count How many pages.
   * @param out Where in the sending buffer the first record goes. Room is needed for whole pages with
   * their headers, `XBZRLE_HEADER` and `XBZRLE_SLACK`.
   * @param nameLength How long the name is that the first record carries.
   * @returns Where the next record goes; where the first one was to go if there is none.
   */
  encodeRun(
    block: RamBlock,
    first: number,
    count: number,
    out: number,
    nameLength: number,
  ): number {
    if (this.#single) return this.#encodeSingly(this.#single, block, first, count, out, nameLength);
    const { pageSize } = this.ram;
    let at = out;
    for (let page = first; page < first + count;) {
      const segment = block.segmentAt(page * pageSize);
      const inside = page * pageSize - segment.offset;
      const place = this.#cache!.placeOf(this.#firstPages[block.index]! + page);
      const pages = Math.min(
        first + count - page,
        (segment.length - inside) / pageSize,
        place.row,
      );
      at = this.#encode({
        ...{ block, page, pages, memory: segment.memory, address: segment.base + inside, place },
        ...{ dirty: block.dirty.byteOffset, out: at, nameLength: at === out ? nameLength : 0 },
      });
      page += pages;
    }
    return at;
  }

  /** The same, with a copy of each page, of which the digest is taken. */
  #encodeSingly(
    { memory, bytes, digests }: SinglePages,
    block: RamBlock,
    first: number,
    count: number,
    out: number,
    nameLength: number,
  ): number {
    let at = out;
    for (let page = first; page < first + count; page++) {
      if (!block.dirty.delete(page)) continue;
      // An untouched page is not read. Should it be touched just now, this is how it was before.
      if (block.untouched.has(page)) bytes.fill(0);
      else digests.take(block.index, page, 0);
      at = this.#encode({
        ...{ block, page, pages: 1, memory, address: 0, dirty: NO_BITMAP, out: at },
        place: this.#cache!.placeOf(this.#firstPages[block.index]! + page),
        nameLength: at === out ? nameLength : 0,
      });
    }
    return at;
  }

  #encode(row: Row): number {
    const { block, page, pages, memory, address, place, dirty, out, nameLength } = row;
    const control = this.#control;
    const kernel = this.#kernelOf(memory, place.memory);
    const end = kernel.encode_pages(
      ...[page, pages, address, place.address, place.entry, this.ram.pageSize] as const,
      BigInt(this.#firstPages[block.index]! + page),
      ...[dirty, block.untouched.byteOffset, Number(this.options.detectZero)] as const,
      ...[control.round, Number(control.lastStage), out, nameLength] as const,
    );
    const [encoded, overflows] = [kernel.encoded_pages.value, kernel.overflows.value];
    this.normalPages += kernel.normal_pages.value;
    this.zeroPages += kernel.zero_pages.value;
    this.encodedPages += encoded;
    control.count("pages", encoded + overflows);
    control.count("cacheMiss", kernel.misses.value);
    control.count("overflow", overflows);
    control.count("bytes", kernel.bytes.value);
    return end;
  }

  #kernelOf(ram: WebAssembly.Memory, cache: WebAssembly.Memory): XbzrleKernel {
    let byCache = this.#kernels.get(ram);
    if (!byCache) this.#kernels.set(ram, byCache = new Map());
    let kernel = byCache.get(cache);
    if (!kernel) byCache.set(cache, kernel = bindXbzrle(ram, cache, this.io, this.ram.tables));
    return kernel;
  }
}

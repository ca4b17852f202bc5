/**
 * What an XBZRLE source does with a page (wire-format §5.7; QEMU `migration/ram.c`, `save_xbzrle_page`):
 * not in the cache, it goes there and is sent whole; in the cache, only what differs is sent, or nothing.
 *
 * What the cache holds is always what the destination has: bytes get into it in the same reading in which
 * they get into the record, whatever the guest writes meanwhile.
 *
 * @module
 */
import { bindXbzrle, type XbzrleKernel } from "../kernels/xbzrle.ts";
import type { GuestRam } from "../machine/guest_ram.ts";
import { XBZRLE_HEADER } from "./flags.ts";
import { XbzrleCache } from "./xbzrle_cache.ts";
import { XbzrleControl } from "./xbzrle_control.ts";

/** What {@linkcode XbzrleEncoder.encode} returns if there are no differences to send. */
export const XbzrleOutcome = {
  /** Nothing is to be sent: the destination has the page. */
  SAME: 0,
  /** The page is to be sent whole, and is where a page's bytes go. */
  WHOLE: -1,
} as const;

/** The cache with the kernels that work on it. */
export class XbzrleEncoder {
  readonly #control: XbzrleControl;
  readonly #kernels = new Map<WebAssembly.Memory, Map<WebAssembly.Memory, XbzrleKernel>>();
  /** The number of each block's first page in all RAM. */
  readonly #firstPages: number[] = [];
  readonly #pages: number;
  #cacheSize = 0;
  #cache: XbzrleCache | undefined;

  /**
   * @param ram All blocks.
   * @param io The memory of the sending buffer.
   * @param control The buffer of {@linkcode XbzrleControl}.
   */
  constructor(
    private readonly ram: GuestRam,
    private readonly io: WebAssembly.Memory,
    control: SharedArrayBuffer,
  ) {
    this.#control = new XbzrleControl(control);
    let pages = 0;
    for (const block of ram.blocks) {
      this.#firstPages.push(pages);
      pages += block.pageCount;
    }
    this.#pages = pages;
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
   * Encodes a page; {@linkcode begins} must have said so.
   * @param block The block's index.
   * @param page The page in the block, which has been claimed.
   * @param memory Where its bytes are.
   * @param address Where in that memory.
   * @param out Where in the sending buffer a page's bytes go; data of differences goes
   * {@linkcode XBZRLE_HEADER} behind it. Room is needed for both and `XBZRLE_SLACK`.
   * @returns How many bytes of data there are, or one of {@linkcode XbzrleOutcome}.
   */
  encode(
    block: number,
    page: number,
    memory: WebAssembly.Memory,
    address: number,
    out: number,
  ): number {
    const control = this.#control;
    const cache = this.#cache!;
    const { pageSize } = this.ram;
    const number = this.#firstPages[block]! + page;
    let slot = cache.find(number, control.round);
    if (slot < 0) {
      control.count("cacheMiss", 1);
      slot = control.lastStage ? -1 : cache.place(number, control.round);
      if (slot < 0) {
        this.#kernelOf(memory, this.io).copy(address, pageSize, out);
        return XbzrleOutcome.WHOLE;
      }
      const kernel = this.#kernelOf(memory, cache.memoryOf(slot));
      kernel.keep(address, cache.addressOf(slot), pageSize);
      kernel.send(cache.addressOf(slot), pageSize, out);
      return XbzrleOutcome.WHOLE;
    }
    control.count("pages", 1);
    const kernel = this.#kernelOf(memory, cache.memoryOf(slot));
    const cached = cache.addressOf(slot);
    const length = kernel.encode(address, cached, pageSize, out + XBZRLE_HEADER);
    if (length >= 0) return length;
    control.count("overflow", 1);
    control.count("bytes", pageSize);
    kernel.send(cached, pageSize, out);
    return XbzrleOutcome.WHOLE;
  }

  /** A page is sent as zeros. */
  zeroed(block: number, page: number): void {
    const cache = this.#cache!;
    const slot = cache.place(this.#firstPages[block]! + page, this.#control.round);
    if (slot < 0) return;
    const memory = cache.memoryOf(slot);
    this.#kernelOf(memory, memory).clear(cache.addressOf(slot), this.ram.pageSize);
  }

  /** A record was made. @param bytes Its length without the 8 bytes it begins with. */
  recorded(bytes: number): void {
    this.#control.count("bytes", bytes);
  }

  #kernelOf(ram: WebAssembly.Memory, cache: WebAssembly.Memory): XbzrleKernel {
    let byCache = this.#kernels.get(ram);
    if (!byCache) this.#kernels.set(ram, byCache = new Map());
    let kernel = byCache.get(cache);
    if (!kernel) byCache.set(cache, kernel = bindXbzrle(ram, cache, this.io));
    return kernel;
  }
}

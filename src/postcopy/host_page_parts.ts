/**
 * Pages of the host that come in parts, as target pages (wire-format §8.5). They come one page of the host
 * after the other, with one exception: a QEMU keeps its queue of requests over a loss of the link, and the
 * first one with it, of which it may have sent the beginning already (QEMU `migration/ram.c`,
 * `unqueue_page`). When it goes on it sends the rest of that page, then others, then the beginning.
 *
 * @module
 */
import { type RamBlock, WASM_PAGE } from "../machine/ram_block.ts";
import type { ByteSource } from "../wire/byte_source.ts";
import type { PageStore } from "./page_store.ts";

/** The one that waits for its beginning, and the one that comes. */
const BEGUN_MAX = 2;

/** A page of the host of which not all has come. */
interface Begun {
  readonly block: RamBlock;
  /** Its first target page. */
  readonly page: number;
  /** What has come of it, where it lies in the page. */
  readonly staging: WebAssembly.Memory;
  /** Where the target pages begin that have come, in bytes. */
  readonly parts: Set<number>;
  allZeros: boolean;
}

/** Collects target pages, and places a page of the host when the last of it has come. */
export class HostPageParts {
  readonly #begun: Begun[] = [];
  readonly #unused: WebAssembly.Memory[] = [];

  /**
   * @param pageSize Of a target page, in bytes.
   * @param store Where the pages go.
   */
  constructor(private readonly pageSize: number, private readonly store: PageStore) {}

  /**
   * Takes a target page.
   * @param offset Where in the block, in bytes.
   * @param content Where its bytes are; `undefined` says zeros.
   * @param at Where in the content, in bytes.
   * @returns Whether there is room: not if more pages of the host have begun than a QEMU leaves unfinished.
   */
  add(block: RamBlock, offset: number, content?: ByteSource, at = 0): boolean {
    const inside = offset % block.hostPageSize;
    const page = (offset - inside) / this.pageSize;
    const begun = this.#find(block, page) ?? this.#begin(block, page);
    if (!begun) return false;
    const part = new Uint8Array(begun.staging.buffer, inside, this.pageSize);
    if (content) {
      content.peek(part, at);
      begun.allZeros = false;
    } else {
      part.fill(0);
    }
    begun.parts.add(inside);
    const length = Math.min(block.hostPageSize, block.length - page * this.pageSize);
    if (begun.parts.size === length / this.pageSize) this.#place(begun);
    return true;
  }

  #find(block: RamBlock, page: number): Begun | undefined {
    return this.#begun.find((begun) => begun.block === block && begun.page === page);
  }

  #begin(block: RamBlock, page: number): Begun | undefined {
    if (this.#begun.length === BEGUN_MAX) return undefined;
    const fits = ({ buffer }: WebAssembly.Memory) => buffer.byteLength >= block.hostPageSize;
    const unused = this.#unused.findIndex(fits);
    const staging = unused < 0
      ? createStaging(block.hostPageSize)
      : this.#unused.splice(unused, 1)[0]!;
    const begun = { block, page, staging, parts: new Set<number>(), allZeros: true };
    this.#begun.push(begun);
    return begun;
  }

  #place(begun: Begun): void {
    const { block, page, staging, allZeros } = begun;
    this.#begun.splice(this.#begun.indexOf(begun), 1);
    this.#unused.push(staging);
    if (block.received.has(page)) return;
    if (allZeros) this.store.placeZeros(block, page);
    else this.store.place(block, page, staging, 0);
  }
}

function createStaging(size: number): WebAssembly.Memory {
  const pages = Math.ceil(size / WASM_PAGE);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}
